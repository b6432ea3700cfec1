// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"runtime/debug"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/redact"
)

// diagnostics implements server.Deps.Diagnostics. Whoever may look may ask for it, and
// will send it to others: nothing in it is secret.
func (a *Agent) diagnostics() *skepv1.GetDiagnosticsResponse {
	r := &skepv1.GetDiagnosticsResponse{
		Config: a.inForce.Load().Redacted(), Log: a.clean(a.options.Tail.Bytes()),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		r.Build = info.String()
	}
	if line, err := os.ReadFile("/proc/cmdline"); err == nil {
		r.KernelCommandLine = a.clean([]byte(strings.TrimSpace(string(line))))
	}
	return r
}

// clean applies the rules in force and the built-in ones, which may be turned off.
func (a *Agent) clean(text []byte) string {
	text = a.secrets.Text(text)
	if rules, err := redact.Compile(redact.Options{Defaults: true}); err == nil {
		text = rules.Text(text)
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}
