// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPageShowsBudget: sensors that a real agent sheds are on the page with the reason, also
// where their records would be; when the limit is lifted they are back, and so is what they see.
func TestPageShowsBudget(t *testing.T) {
	needBrowser(t)
	watched := t.TempDir()
	// A limit below what every agent takes, and sensors that need not long to go one by one, by a budget that decides fast.
	sensors := fmt.Sprintf("sensors: {files: {paths: [%s]}, dns: {enabled: false}, udp: {enabled: false}, unix: {enabled: false}, host: {calls: []}}\n", watched)
	h := startAgent(t, "limits: {memory: 16MiB}\n"+sensors, "--budget-second=200ms")
	script{func(what string) error {
		if what == "touch a file" {
			return os.WriteFile(filepath.Join(watched, "after-all"), nil, 0o600)
		}
		return h.reload(sensors)
	}}.run(t, "budget.mjs", serve(t, h.dir, h.socket)("view"), "files", "tcp")
}
