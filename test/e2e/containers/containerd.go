// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Containerd is a private containerd with the image already in it.
type Containerd struct {
	Socket string // of its gRPC API
	Dir    string // temporary; BuildProbe's and BuildImage's files are in it

	execs int
}

// Container is a running container.
type Container struct {
	ID  string
	PID int // of its first process, in the host's pid namespace
}

// config keeps everything below dir and works where overlayfs, CNI and
// lowering oom_score_adj (CAP_SYS_RESOURCE) do not.
const config = `version = 2
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
`

// StartContainerd starts containerd, imports the image into the namespaces
// "default" and "k8s.io", and undoes all of it when the test ends.
func StartContainerd(t testing.TB) *Containerd {
	t.Helper()
	Need(t, "containerd", "ctr", "runc")
	dir := tempDir(t)
	c := &Containerd{Socket: filepath.Join(dir, "c.sock"), Dir: dir}
	file := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf(config, filepath.Join(dir, "root"), filepath.Join(dir, "state"), c.Socket, Image)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(t, file)
	image := BuildImage(t, dir, BuildProbe(t, dir))
	for _, ns := range []string{"default", "k8s.io"} {
		c.ctr(t, "-n", ns, "images", "import", "--snapshotter", "native", image)
	}
	return c
}

func (c *Containerd) start(t testing.TB, config string) {
	t.Helper()
	log, err := os.Create(filepath.Join(c.Dir, "containerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command("containerd", "--config", config)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := daemon.Start(); err != nil {
		t.Fatalf("start containerd: %v", err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		_ = daemon.Wait()
		killShims(c.Socket)
		unmountBelow(c.Dir)
		removeCgroups("/default")
		removeCgroups("/k8s.io")
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, err := try("ctr", "-a", c.Socket, "version"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("containerd did not answer within 30 s: %s", text)
		}
	}
}

func (c *Containerd) ctr(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, "ctr", append([]string{"-a", c.Socket}, args...)...)
}

// Run starts a container in namespace "default" whose first process is probe
// with args. Labels are written as "key=value" before them, as in
// Run(t, "web", "--label", "app=web", "sleep", "60").
func (c *Containerd) Run(t testing.TB, name string, args ...string) *Container {
	t.Helper()
	flags, args := splitFlags(args)
	call := append([]string{"run", "--detach", "--net-host", "--snapshotter", "native"}, flags...)
	call = append(append(call, Image, name, "/probe"), args...)
	t.Cleanup(func() { c.remove(name) })
	c.ctr(t, call...)
	return &Container{ID: name, PID: c.taskPIDIn(t, "default", name)}
}

// RunToEnd is Run for a container that ends by itself; it returns the output
// and the exit code of its first process.
func (c *Containerd) RunToEnd(t testing.TB, name string, args ...string) (out string, code int) {
	t.Helper()
	flags, args := splitFlags(args)
	call := append([]string{"-a", c.Socket, "run", "--rm", "--net-host", "--snapshotter", "native"}, flags...)
	call = append(append(call, Image, name, "/probe"), args...)
	t.Cleanup(func() { c.remove(name) })
	out, err := try("ctr", call...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out, exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out, 0
}

// splitFlags takes the leading "--flag value" pairs.
func splitFlags(args []string) (flags, rest []string) {
	n := 0
	for n+1 < len(args) && strings.HasPrefix(args[n], "--") {
		n += 2
	}
	return args[:n], args[n:]
}

func (c *Containerd) taskPIDIn(t testing.TB, namespace, name string) int {
	t.Helper()
	for line := range strings.Lines(c.ctr(t, "-n", namespace, "tasks", "ls")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			pid, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatalf("pid of container %s: %v", name, err)
			}
			return pid
		}
	}
	t.Fatalf("container %s has no task", name)
	return 0
}

// Exec runs probe with args in a running container, as "kubectl exec" does,
// waits for it, and returns its output.
func (c *Containerd) Exec(t testing.TB, name string, args ...string) string {
	t.Helper()
	return c.ctr(t, c.execArgs(name, args)...)
}

// ExecDetached does not wait for the program.
func (c *Containerd) ExecDetached(t testing.TB, name string, args ...string) {
	t.Helper()
	call := c.execArgs(name, args)
	c.ctr(t, append([]string{"tasks", "exec", "--detach"}, call[2:]...)...)
}

func (c *Containerd) execArgs(name string, args []string) []string {
	c.execs++
	return append([]string{"tasks", "exec", "--exec-id", fmt.Sprintf("exec-%d", c.execs), name, "/probe"}, args...)
}

// remove leaves nothing of a container; it may be gone already.
func (c *Containerd) remove(name string) {
	_, _ = try("ctr", "-a", c.Socket, "tasks", "delete", "--force", name)
	_, _ = try("ctr", "-a", c.Socket, "containers", "delete", name)
}

// killShims ends the shims of our own containerd: its socket is an argument of theirs.
func killShims(socket string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, _ := os.ReadFile(f)
		if args := strings.Split(string(line), "\x00"); strings.Contains(args[0], "containerd-shim") && strings.Contains(string(line), socket) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// unmountBelow detaches what a failed test left mounted.
func unmountBelow(dir string) {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			_ = syscall.Unmount(f[4], syscall.MNT_DETACH)
		}
	}
}
