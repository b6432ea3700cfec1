// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// TestPageShowsBudget: sensors that a real agent sheds are on the page with the reason, also
// where their records would be; when the limit is lifted they are back, and so is what they see.
func TestPageShowsBudget(t *testing.T) {
	needBrowser(t)
	if os.Getuid() != 0 {
		t.Skip("needs root: starts the agent")
	}
	dir := publicDir(t)
	socket, watched := filepath.Join(dir, "skep.sock"), t.TempDir()
	// One below what every agent takes, and sensors that need not long to go one by one.
	sensors := fmt.Sprintf("sensors: {files: {paths: [%s]}, dns: {enabled: false}, udp: {enabled: false}, unix: {enabled: false}, host: {calls: []}}\n", watched)
	config := skepdtest.WriteConfig(t, "limits: {memory: 16MiB}\n"+sensors)
	agent := exec.Command(skepdtest.Build(t, "skepd"), "run", "--private", "--config", config, "--socket", socket, "--data-dir", filepath.Join(dir, "data"), "--web-uid", fmt.Sprint(nobody))
	if said := start(t, agent); said != "\x01" {
		t.Fatalf("skepd did not start: %s", said)
	}
	script{func(what string) error {
		if what == "touch a file" {
			return os.WriteFile(filepath.Join(watched, "after-all"), nil, 0o600)
		}
		if err := os.WriteFile(config, []byte(sensors), 0o600); err != nil {
			return err
		}
		return agent.Process.Signal(syscall.SIGHUP)
	}}.run(t, "budget.mjs", serve(t, dir, socket), "files", "tcp")
}
