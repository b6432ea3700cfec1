// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// sh runs a shell's command, which must succeed, and returns its output.
func sh(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// fails runs one that must not succeed.
func fails(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err == nil {
		t.Fatalf("%s: succeeded\n%s", command, out)
	}
	return string(out)
}

func skep(t *testing.T) string { return skepdtest.Build(t, "skep") }

// left is what bpftool finds in the kernel that no process holds, and what tc finds.
func left(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, kind := range []string{"prog", "link", "map"} {
		var objects []struct {
			ID   int              `json:"id"`
			Name string           `json:"name"`
			Pids []map[string]any `json:"pids"`
		}
		if err := json.Unmarshal([]byte(sh(t, "bpftool -j "+kind+" show")), &objects); err != nil {
			t.Fatalf("bpftool %s: %v", kind, err)
		}
		for _, o := range objects {
			if len(o.Pids) == 0 && !heldBy(kind, o.ID) {
				found[fmt.Sprint(kind, " ", o.ID, " ", o.Name)] = true
			}
		}
	}
	for line := range strings.Lines(sh(t, "tc qdisc show")) {
		found["qdisc "+strings.TrimSpace(line)] = true
	}
	return found
}

// heldBy asks /proc: bpftool's own way to find holders does not work on all kernels. A map
// or program that is held by another object only shows no holder; see wantSame.
func heldBy(kind string, id int) bool {
	want := fmt.Sprintf("\n%s_id:\t%d\n", kind, id)
	files, _ := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains("\n"+string(text), want) {
			return true
		}
	}
	return false
}

// wantSame waits until nothing is left that was not there before.
func wantSame(t *testing.T, before map[string]bool) {
	t.Helper()
	var extra []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		extra = nil
		for name := range left(t) {
			if !before[name] {
				extra = append(extra, name)
			}
		}
		if len(extra) == 0 {
			return
		}
	}
	t.Errorf("left in the kernel: %v", extra)
}

// start runs the installed agent as its unit does, by the arguments given, and returns
// once it answers.
func start(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of %v:\n%s", argv, text)
		}
	})
	for end := time.Now().Add(skepdtest.Patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if exec.Command(skep(t), "--socket", "/run/skep/skep.sock", "whoami").Run() == nil {
			return c
		}
	}
	t.Fatal("the agent does not answer")
	return nil
}
