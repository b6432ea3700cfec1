// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// wantSeen runs a process that all streams must tell of.
func wantSeen(t *testing.T, streams ...*stream) {
	t.Helper()
	for _, s := range streams {
		wantWhole(t, s)
	}
}

// TestPrivate: private agents see everything, also beside each other and beside one that
// pins, and nothing of them is left however they end.
func TestPrivate(t *testing.T) {
	pinning := newHouse(t)
	before := orphans(t)
	pins := pinned(t, "/sys/fs/bpf")
	one, two := newPrivateHouse(t), newPrivateHouse(t)
	a, b := one.start(), two.start()
	wantSeen(t, a.observe(), b.observe())
	a.stop()
	wantSeen(t, b.observe())
	b.kill()
	wantNoOrphans(t, before)
	if now := pinned(t, "/sys/fs/bpf"); fmt.Sprint(now) != fmt.Sprint(pins) {
		t.Errorf("pins were %v, are %v", pins, now)
	}
	c := pinning.start()
	links := pinning.linkIDs()
	a = one.start()
	wantSeen(t, a.observe(), c.observe())
	a.kill()
	wantSeen(t, c.observe())
	if now := pinning.linkIDs(); fmt.Sprint(now) != fmt.Sprint(links) {
		t.Errorf("the pinning agent's links were %v, are %v", links, now)
	}
	c.stop()
}

// TestScratch: what skep has made for a private agent goes with it, also if skep was killed
// and so cannot remove it. (The kernel then sends the agent a SIGTERM.)
func TestScratch(t *testing.T) {
	h := newPrivateHouse(t)
	scratch := filepath.Join(h.dir, "scratch")
	if err := os.MkdirAll(filepath.Join(scratch, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.socket = filepath.Join(scratch, "skep.sock")
	a := h.start("--scratch", scratch)
	a.status()
	a.stop()
	if _, err := os.Lstat(scratch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", scratch, err)
	}
}

// TestEphemeral: a clean stop takes everything away, also after it took over from one
// that stays.
func TestEphemeral(t *testing.T) {
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprint("takes over: ", first), func(t *testing.T) {
			h := newHouse(t)
			before := orphans(t)
			if first {
				h.start().kill()
			}
			a := h.start("--ephemeral")
			wantSeen(t, a.observe())
			a.stop()
			wantNoOrphans(t, before)
			if _, err := os.Lstat(h.pins); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there: %v", h.pins, pinned(t, h.pins))
			}
		})
	}
}

// TestRemove works with and without anything to remove.
func TestRemove(t *testing.T) {
	h := newHouse(t)
	for _, killed := range []bool{false, true} {
		if killed {
			h.start().kill()
		}
		if out, err := h.command("remove").CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("skepd remove: %v: %s", err, out)
		}
		if _, err := os.Lstat(h.pins); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", h.pins, pinned(t, h.pins))
		}
	}
}

// TestHangingRuntime: a container runtime that accepts and never answers, and one that is
// not there, are nobody's problem.
func TestHangingRuntime(t *testing.T) {
	h := newPrivateHouse(t)
	var sockets string
	for _, name := range []string{"containerd", "docker", "podman", "crio"} {
		l, err := net.Listen("unix", filepath.Join(h.dir, name+".sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		sockets += fmt.Sprintf("  - %s\n  - %s/%s.absent.sock\n", l.Addr(), h.dir, name)
	}
	h.yaml += "containers:\n  sockets:\n" + sockets
	id := fmt.Sprintf("%064x", os.Getpid())
	a := h.start()
	s := a.observe()
	inCgroup(t, "docker-"+id+".scope", func() {
		c := exec.Command("true")
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		r := s.find("exec in a container", func(r *skepv1.Record) bool {
			return r.Kind == "exec" && r.Process.GetPid() == uint32(c.Process.Pid)
		})
		if got := r.Process.Container.GetId(); got != id {
			t.Errorf("the container is %q, want %q", got, id)
		}
	})
	a.stop()
}

// inCgroup calls fn in a cgroup of that name in the hierarchy that names containers.
func inCgroup(t *testing.T, name string, fn func()) {
	t.Helper()
	root := "/sys/fs/cgroup/memory" // where v1 has the controllers
	if _, err := os.Stat(root); err != nil {
		root = skepdtest.Cgroup2(t)
	}
	dir := filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	move := func(to string) {
		if err := os.WriteFile(to+"/cgroup.procs", fmt.Append(nil, os.Getpid()), 0); err != nil {
			t.Fatal(err)
		}
	}
	move(dir)
	defer move(root)
	fn()
}
