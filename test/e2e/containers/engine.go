// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Engine is a private podman or dockerd with the image in it.
type Engine struct {
	Socket string // of its HTTP API
	Dir    string // its own files; podman's storage is in root/
	cli    []string
	run    []string // flags of "run" that this host needs
}

// StartPodman prepares a podman of its own and serves its API.
func StartPodman(t testing.TB) *Engine {
	t.Helper()
	Need(t, "podman", "runc", "conmon") // crun refuses a v2 with controllers beside v1
	dir := tempDir(t)
	socket := filepath.Join(dir, "p.sock")
	e := &Engine{Socket: socket, Dir: dir, run: []string{"--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"},
		cli: []string{"podman", "--root", dir + "/root", "--runroot", dir + "/run", "--tmpdir", dir + "/tmp",
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "file"}}
	t.Cleanup(func() {
		unmountBelow(dir)
		removeCgroups("/libpod_parent/conmon")
	})
	e.output(t, "load", "--input", BuildImage(t, dir, BuildProbe(t, dir)))
	serve(t, dir, socket, append(e.cli, "system", "service", "--time", "0", "unix://"+socket)...)
	return e
}

// StartDocker starts a dockerd of its own on top of a private containerd.
func StartDocker(t testing.TB) *Engine {
	t.Helper()
	Need(t, "dockerd", "docker")
	c := StartContainerd(t)
	dir := tempDir(t)
	socket := filepath.Join(dir, "d.sock")
	config := filepath.Join(dir, "daemon.json") // instead of the system's
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeCgroups("/docker") })
	serve(t, dir, socket, "dockerd", "--containerd", c.Socket, "--host", "unix://"+socket, "--data-root", dir+"/data",
		"--exec-root", dir+"/exec", "--pidfile", dir+"/pid", "--storage-driver", "vfs", "--bridge", "none",
		"--iptables=false", "--ip6tables=false", "--config-file", config)
	e := &Engine{Socket: socket, Dir: dir, cli: []string{"docker", "--host", "unix://" + socket}, run: []string{"--network", "host"}}
	e.output(t, "load", "--input", filepath.Join(c.Dir, "image.tar"))
	return e
}

// Run starts a container; its first process is probe with args. Leading
// "--flag value" pairs go to the engine.
func (e *Engine) Run(t testing.TB, name string, args ...string) *Container {
	t.Helper()
	flags, args := splitFlags(args)
	call := append(append([]string{"run", "--detach", "--name", name}, e.run...), flags...)
	t.Cleanup(func() { _, _ = try(e.cli[0], append(e.cli[1:], "rm", "--force", name)...) })
	id := strings.TrimSpace(e.output(t, append(append(call, Image), args...)...))
	text := e.output(t, "inspect", "--format", "{{.State.Pid}}", name)
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("pid of container %s: %v", name, err)
	}
	return &Container{ID: id, PID: pid}
}

func (e *Engine) output(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, e.cli[0], append(append([]string{}, e.cli[1:]...), args...)...)
}

// serve runs a daemon until the test ends, and waits until its socket answers.
func serve(t testing.TB, dir, socket string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "daemon.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command(args[0], args[1:]...)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := daemon.Start(); err != nil {
		t.Fatalf("start %s: %v", args[0], err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		_ = daemon.Wait()
		unmountBelow(dir)
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("%s did not answer within 30 s: %s", args[0], text)
		}
	}
}
