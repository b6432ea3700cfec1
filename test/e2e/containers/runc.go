// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// RuncRun starts a container by runc alone, from a bundle, with runc's own
// default cgroup path (NAME, on v1 below the caller's cgroup) and state directory.
func RuncRun(t testing.TB, name string, args ...string) *Container {
	t.Helper()
	return RuncRunAt(t, name, "", args...)
}

// RuncRunAt is RuncRun with a cgroup path of the caller's choice.
func RuncRunAt(t testing.TB, name, cgroupPath string, args ...string) *Container {
	t.Helper()
	Need(t, "runc")
	bundle := tempDir(t)
	makeBundle(t, bundle, cgroupPath, args)
	t.Cleanup(func() {
		_, _ = try("runc", "delete", "--force", name)
		removeCgroups(path.Dir(cgroupPath))
	})
	pidFile := filepath.Join(bundle, "pid")
	c := exec.Command("runc", "--log", filepath.Join(bundle, "log"), "run", "--detach", "--bundle", bundle, "--pid-file", pidFile, name)
	if err := c.Run(); err != nil { // no pipes: the container would keep them
		log, _ := os.ReadFile(filepath.Join(bundle, "log"))
		t.Fatalf("runc run %s: %v: %s", name, err, log)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("pid of container %s: %v", name, err)
	}
	return &Container{ID: name, PID: pid}
}

// RuncExec runs probe with args in a container, waits, and returns its output.
func RuncExec(t testing.TB, name string, args ...string) string {
	t.Helper()
	return output(t, "runc", append([]string{"exec", name, "/probe"}, args...)...)
}

// RuncExecDetached starts probe with args in a container and does not wait for it.
func RuncExecDetached(t testing.TB, name string, args ...string) {
	t.Helper()
	c := exec.Command("runc", append([]string{"exec", "--detach", name, "/probe"}, args...)...)
	if err := c.Run(); err != nil { // no pipes: the process would keep them
		t.Fatalf("runc exec in %s: %v", name, err)
	}
}

func makeBundle(t testing.TB, bundle, cgroupPath string, args []string) {
	t.Helper()
	root := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	BuildProbe(t, root)
	file := filepath.Join(bundle, "config.json")
	_ = os.Remove(file)
	output(t, "runc", "spec", "--bundle", bundle)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	process := spec["process"].(map[string]any)
	process["terminal"], process["args"] = false, append([]string{"/probe"}, args...)
	if cgroupPath != "" {
		spec["linux"].(map[string]any)["cgroupsPath"] = cgroupPath
	}
	if err := os.WriteFile(file, encode(spec), 0o600); err != nil {
		t.Fatal(err)
	}
}
