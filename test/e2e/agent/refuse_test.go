// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// as makes the test binary change itself and become the program of c.
func as(c *exec.Cmd, verb string) *exec.Cmd {
	helper := exec.Command("/proc/self/exe", append([]string{c.Path}, c.Args[1:]...)...)
	helper.Env = append(os.Environ(), verbEnv+"="+verb)
	return helper
}

// TestRefusals: what keeps the agent from starting is one sentence, and nothing is left.
func TestRefusals(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name string
		make func(*house) *exec.Cmd
		want []string
	}{
		{"not root", func(h *house) *exec.Cmd {
			os.Chmod(h.dir, 0o755)
			c := h.command("run")
			os.Chmod(filepath.Join(h.dir, "skep.yaml"), 0o644)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			return c
		}, []string{"needs root", "uid 65534", "sudo"}},
		{"no CAP_BPF", capability(unix.CAP_BPF), []string{"without CAP_BPF", "give"}},
		{"no CAP_PERFMON", capability(unix.CAP_PERFMON), []string{"without CAP_PERFMON", "give"}},
		{"no CAP_NET_ADMIN", capability(unix.CAP_NET_ADMIN), []string{"without CAP_NET_ADMIN", "give"}},
		{"no CAP_SYS_ADMIN", capability(unix.CAP_SYS_ADMIN), []string{"without CAP_SYS_ADMIN", "give"}},
		{"root of a user namespace", inUserNamespace("run"), []string{"user namespace", "root of the host"}},
		{"relative socket", func(h *house) *exec.Cmd { return h.command("run", "--socket", "skep.sock") }, []string{"skep.sock", "relative"}},
		{"no BTF", func(h *house) *exec.Cmd { return as(h.command("run"), "hide /sys/kernel/btf") },
			[]string{"BTF", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y"}},
		{"no cgroups", func(h *house) *exec.Cmd { return as(h.command("run"), "no-cgroups") },
			[]string{"skepd: choose cgroup hierarchy: no cgroup filesystem is mounted"}},
		{"no BPF filesystem", func(h *house) *exec.Cmd {
			h.yaml = "bpffs: /sys/fs/bpf/skep-agent-test-none\n"
			return as(h.command("run"), "no-bpffs")
		}, []string{"mount BPF filesystem at /sys/fs/bpf", "mount it yourself"}},
		{"no BPF filesystem there", func(h *house) *exec.Cmd {
			h.yaml = "bpffs: " + h.dir + "/skep\n"
			return h.command("run")
		}, []string{"is not on a BPF filesystem", "skep.yaml"}},
		{"its mount point", func(h *house) *exec.Cmd {
			h.yaml = "bpffs: /sys/fs/bpf\n"
			return h.command("run")
		}, []string{"/sys/fs is not on a BPF filesystem", "/sys/fs/bpf/skep"}},
		{"unknown rung", func(h *house) *exec.Cmd { return h.command("run", "--force-rung", "exec=nonsense") },
			[]string{"nonsense", "exec", "tp_btf, raw_tp"}},
		{"unknown signal", func(h *house) *exec.Cmd { return h.command("run", "--force-rung", "nonsense=tp_btf") },
			[]string{"nonsense", "signals are", "exec"}},
		{"unknown key", func(h *house) *exec.Cmd {
			h.yaml = "sokcet: /run/x\n"
			return h.command("run")
		}, []string{"sokcet", ":1:1:", `"socket"`}},
		{"node_id damaged", func(h *house) *exec.Cmd {
			h.write("data/node_id", "not a uuid")
			return h.command("run")
		}, []string{"node_id", "does not hold a UUID", "remove it"}},
		{"socket is a file", func(h *house) *exec.Cmd {
			h.write("skep.sock", "precious")
			return h.command("run")
		}, []string{"skep.sock", "a file", "choose another path"}},
		{"socket is a directory", func(h *house) *exec.Cmd {
			h.write("skep.sock/precious", "precious")
			return h.command("run")
		}, []string{"skep.sock", "a directory", "choose another path"}},
		{"metrics address taken", func(h *house) *exec.Cmd {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { l.Close() })
			h.yaml += fmt.Sprintf("metrics:\n  listen: %s\n", l.Addr())
			return h.command("run")
		}, []string{"address already in use", "metrics.listen"}},
		{"ready-fd not open", func(h *house) *exec.Cmd { return h.command("run", "--ready-fd", "77") }, []string{"--ready-fd 77", "pipe"}},
		{"ready-fd is stderr", func(h *house) *exec.Cmd { return h.command("run", "--ready-fd", "2") }, []string{"--ready-fd 2", "above 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			yaml := h.yaml
			command := c.make(h)
			before := pinned(t, "/sys/fs/bpf")
			refused(t, command, c.want...)
			h.yaml = yaml // for the cleanup, which checks the kernel
			if after := pinned(t, "/sys/fs/bpf"); !slices.Equal(before, after) {
				t.Errorf("pins before %v, after %v", before, after)
			}
		})
	}
}

func capability(bit int) func(*house) *exec.Cmd {
	return func(h *house) *exec.Cmd { return as(h.command("run"), fmt.Sprint("drop ", bit)) }
}

func (h *house) write(name, text string) {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			h.t.Errorf("%s was touched: %q, %v", name, now, err)
		}
	})
}

// TestSecondAgent: one agent per host, whatever its socket; the first goes on.
func TestSecondAgent(t *testing.T) {
	h := newHouse(t)
	a := h.start("--ephemeral")
	links := h.linkIDs()
	refused(t, h.command("run"), fmt.Sprintf("process %d (skepd) is listening", a.command.Process.Pid), h.socket, "stop it first")
	other := *h
	other.socket = filepath.Join(h.dir, "other.sock")
	refused(t, other.command("run"), "another skep agent is running on this host", "bpftool link show id", "stop it first")
	refused(t, h.command("remove"), "another skep agent is running on this host", "stop it first")
	if _, err := os.Stat(other.socket); err == nil {
		t.Error("the second agent left its socket")
	}
	if now := h.linkIDs(); len(now) == 0 || fmt.Sprint(now) != fmt.Sprint(links) {
		t.Errorf("the first agent's links changed from %v to %v", links, now)
	}
	a.status()
	a.stop()
}

// TestDeadSocket: the socket of an agent that was killed is in nobody's way.
func TestDeadSocket(t *testing.T) {
	h := newPrivateHouse(t)
	h.start().kill()
	if _, err := os.Stat(h.socket); err != nil {
		t.Fatalf("kill -9 should have left the socket: %v", err)
	}
	h.start().stop()
	if _, err := os.Stat(h.socket); err == nil {
		t.Error("a clean stop left the socket")
	}
}

// tiny mounts a file system of some pages at the house's data directory.
func (h *house) tiny(bytes int, flags uintptr) string {
	h.t.Helper()
	dir := filepath.Join(h.dir, "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", flags, fmt.Sprintf("size=%d", bytes)); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill leaves no room in a directory's file system.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

func TestFullDisk(t *testing.T) {
	h := newHouse(t)
	fill(t, h.tiny(64<<10, 0))
	refused(t, h.command("run"), "no space left on device", "data directory", "room")
}

func TestReadOnlyDisk(t *testing.T) {
	h := newHouse(t)
	h.tiny(64<<10, unix.MS_RDONLY)
	refused(t, h.command("run"), "read-only file system", "writable")
}

// TestAuditDiskFills: a disk that fills up while the agent runs does not end it.
func TestAuditDiskFills(t *testing.T) {
	h := newPrivateHouse(t)
	dir := h.tiny(64<<10, 0)
	a := h.start()
	fill(t, dir)
	for range 200 { // more than what is left of the log's last page
		if _, err := a.GetIdentity(t.Context(), &skepv1.GetIdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	a.status()
	if n := strings.Count(a.text(), "audit log cannot be written"); n != 1 {
		t.Errorf("the log says %d times that the audit log cannot be written, want once", n)
	}
	a.stop()
}

// inUserNamespace makes a command that runs as root of a user namespace only.
func inUserNamespace(verb string) func(*house) *exec.Cmd {
	return func(h *house) *exec.Cmd {
		c := h.command(verb)
		all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1000}}
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: all, GidMappings: all}
		return c
	}
}

// TestWrongUsage: arguments that mean nothing are told apart from an agent that cannot run.
func TestWrongUsage(t *testing.T) {
	h := newPrivateHouse(t)
	for _, args := range [][]string{{"--web-uid", "-5"}, {"--nonsense"}, {"too", "many"}} {
		err := h.command("run", args...).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("skepd run %q ended with %v, want exit status 2", args, err)
		}
	}
}
