// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/identity/container"
)

// startTable runs a Table over the live hierarchy.
func startTable(t *testing.T, sockets ...container.Socket) (*container.Table, cgroup.Hierarchy) {
	t.Helper()
	h, err := cgroup.ChooseLive()
	if err != nil {
		t.Fatal(err)
	}
	table := container.NewTable(cgroup.NewIndex(h), container.Options{Sockets: append([]container.Socket{}, sockets...)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("table: %v", err)
		}
	})
	return table, h
}

func TestContainerd(t *testing.T) {
	c := StartContainerd(t)
	table, h := startTable(t, container.Socket{Kind: container.KindContainerd, Path: c.Socket})
	name := UniqueName("skep-ctr")
	made := c.Run(t, name, "--label", "app=shop", "sleep", "600")

	id, path := CgroupOf(t, h, made.PID)
	got := table.ForCgroup(id)
	if got == nil || got.ID != name || got.Runtime != container.Containerd {
		t.Fatalf("cgroup %d (%s) is %+v, want container %s", id, path, got, name)
	}
	Eventually(t, "metadata of "+name, func() bool { return table.ForCgroup(id).Resolved })
	got = table.ForCgroup(id)
	if got.Name != name || got.Image != Image || got.Labels["app"] != "shop" || got.Labels[ImageLabel] != "yes" {
		t.Errorf("metadata: %+v", got)
	}
	if mine, _ := CgroupOf(t, h, os.Getpid()); table.ForCgroup(mine) != nil && table.ForCgroup(mine).ID == name {
		t.Errorf("this test's own cgroup %d is in the container", mine)
	}
	t.Run("exec", func(t *testing.T) { testExec(t, c, table, h, made) })
}

// testExec starts a second process in the container from outside.
func testExec(t *testing.T, c *Containerd, table *container.Table, h cgroup.Hierarchy, made *Container) {
	if out := c.Exec(t, made.ID, "fork", "/probe", "exec", "/probe", "exit", "0"); !strings.HasPrefix(out, "child ") {
		t.Errorf("exec printed %q", out)
	}
	const mark = "594.25" // finds the process in /proc
	c.ExecDetached(t, made.ID, "sleep", mark)
	var pid int
	Eventually(t, "the exec'd process", func() bool { pid = findProcess("/probe", "sleep", mark); return pid != 0 })
	id, _ := CgroupOf(t, h, pid)
	if got := table.ForCgroup(id); pid == made.PID || got == nil || got.ID != made.ID {
		t.Errorf("exec'd process %d (cgroup %d) is in %+v", pid, id, got)
	}
}

// findProcess returns the pid of the process with exactly this command line.
func findProcess(args ...string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if line, _ := os.ReadFile(f); string(line) == strings.Join(args, "\x00")+"\x00" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			return pid
		}
	}
	return 0
}

func TestRunc(t *testing.T) {
	for _, cgroupPath := range []string{"", "/skep-containers/own/place"} {
		t.Run("at "+cmp.Or(cgroupPath, "its own choice"), func(t *testing.T) {
			table, h := startTable(t)
			name := UniqueName("skep-runc")
			made := RuncRunAt(t, name, cgroupPath, "sleep", "600")
			id, path := CgroupOf(t, h, made.PID)
			got := table.ForCgroup(id)
			if got == nil || got.ID != name || got.Runtime != container.Runc || got.Name != name {
				t.Fatalf("cgroup %d (%s) is %+v, want container %s", id, path, got, name)
			}
			inside := RuncExec(t, name, "cgroup")
			if _, p, ok := h.ProcPath(inside); !ok || p != path && p != "/" {
				t.Errorf("exec'd process is in %q, not %s", p, path)
			}
		})
	}
}

// TestRuncLate: the cgroup is known, and looked up, before runc's state is there.
func TestRuncLate(t *testing.T) {
	Need(t, "runc")
	table, h := startTable(t)
	name := UniqueName("skep-late")
	dir := filepath.Join(h.Mount, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	info, err := cgroupID(dir)
	if err != nil {
		t.Fatal(err)
	}
	table.CgroupMade(info, "/"+name)
	if got := table.ForCgroup(info); got != nil {
		t.Fatalf("an empty cgroup is %+v", got)
	}
	RuncRunAt(t, name, "/"+name, "sleep", "600")
	if got := table.ForCgroup(info); got == nil || got.ID != name {
		t.Fatalf("after runc run: %+v", got)
	}
}
