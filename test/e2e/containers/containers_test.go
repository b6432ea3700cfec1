// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
	if out, code := c.RunToEnd(t, UniqueName("skep-end"), "fork", "/probe", "exit", "7"); code != 7 || !strings.HasPrefix(out, "child ") {
		t.Errorf("a container that exits with 7: %d, %q", code, out)
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
			const mark = "594.5" // finds the process in /proc, where the host sees its cgroup whole
			RuncExecDetached(t, name, "sleep", mark)
			var pid int
			Eventually(t, "the exec'd process", func() bool { pid = findProcess("/probe", "sleep", mark); return pid != 0 })
			if execID, p := CgroupOf(t, h, pid); execID != id || p != path {
				t.Errorf("exec'd process %d is in cgroup %d (%s), the container in %d (%s)", pid, execID, p, id, path)
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

func TestPod(t *testing.T) {
	c := StartContainerd(t)
	table, h := startTable(t, container.Socket{Kind: container.KindContainerd, Path: c.Socket})
	pod := Pod{Name: "web-0", Namespace: "shop", UID: "7a1c0b52-3d4e-4f60-8a9b-0c1d2e3f4a5b", Labels: map[string]string{"app": "shop"}}
	made := c.RunPod(t, pod, "web", "sleep", "600")
	id, path := CgroupOf(t, h, made.PID)
	Eventually(t, "metadata of the pod's container in "+path, func() bool {
		got := table.ForCgroup(id)
		return got != nil && got.Resolved
	})
	got := table.ForCgroup(id)
	if got.ID != made.ID || got.Runtime != container.Containerd || got.Name != "web" || got.Image != Image ||
		got.PodName != "web-0" || got.Namespace != "shop" || got.PodUID != pod.UID || got.QoS != "burstable" || got.PodLabels["app"] != "shop" {
		t.Errorf("container in %s: %+v", path, got)
	}
	sandboxPID := c.taskPIDIn(t, "k8s.io", made.Sandbox)
	id, _ = CgroupOf(t, h, sandboxPID)
	Eventually(t, "metadata of the sandbox", func() bool { return table.ForCgroup(id).Resolved })
	if got := table.ForCgroup(id); got.ID != made.Sandbox || got.PodName != "web-0" || got.PodUID != pod.UID {
		t.Errorf("sandbox: %+v", got)
	}
}

func TestEngines(t *testing.T) {
	for _, e := range []struct {
		name  string
		start func(testing.TB) *Engine
		kind  container.Kind
		want  container.Runtime
	}{
		{"podman", StartPodman, container.KindPodman, container.Podman},
		{"docker", StartDocker, container.KindDocker, container.Docker},
	} {
		t.Run(e.name, func(t *testing.T) {
			engine := e.start(t)
			table, h := startTable(t, container.Socket{Kind: e.kind, Path: engine.Socket})
			name := UniqueName("skep-" + e.name)
			made := engine.Run(t, name, "--label", "app=shop", "sleep", "600")
			id, path := CgroupOf(t, h, made.PID)
			got := table.ForCgroup(id)
			if got == nil || got.ID != made.ID || got.Runtime != e.want {
				t.Fatalf("cgroup %d (%s) is %+v, want %s", id, path, got, made.ID)
			}
			Eventually(t, "metadata of "+path, func() bool { return table.ForCgroup(id).Resolved })
			got = table.ForCgroup(id)
			if got.Name != name || !strings.HasSuffix(got.Image, Image) || got.Labels["app"] != "shop" || got.Labels[ImageLabel] != "yes" {
				t.Errorf("metadata: %+v", got)
			}
			if e.kind == container.KindPodman {
				testPodmanStorage(t, engine, id, name)
			}
		})
	}
}

// testPodmanStorage: without a service, podman's files tell name and image.
func testPodmanStorage(t *testing.T, engine *Engine, id uint64, name string) {
	table, _ := startTable(t, container.Socket{Kind: container.KindStorage, Path: filepath.Join(engine.Dir, "root")})
	Eventually(t, "metadata from podman's storage", func() bool { return table.ForCgroup(id).Resolved })
	if got := table.ForCgroup(id); got.Name != name || !strings.HasSuffix(got.Image, Image) || got.Runtime != container.Podman {
		t.Errorf("from storage: %+v", got)
	}
}

// TestRuncShort: containers that are gone before any event about them is read.
func TestRuncShort(t *testing.T) {
	Need(t, "runc")
	table, h := startTable(t)
	parent := "/" + UniqueName("skep-short")
	bundle := tempDir(t)
	made := watchCgroups(t, filepath.Join(h.Mount, parent))
	for seen, unseen := 0, 0; seen < 10; {
		name := UniqueName("skep-short")
		makeBundle(t, bundle, path.Join(parent, name), []string{"exit", "7"})
		_, err := try("runc", "run", "--bundle", bundle, name)
		if err == nil || !strings.Contains(err.Error(), "exit status 7") {
			t.Fatalf("runc run: %v", err)
		}
		id, ok := made()[name]
		if !ok { // on a busy host the watch may not run while the container does
			if unseen++; unseen > 50 {
				t.Fatalf("of %d containers the cgroups were not seen, of %d they were", unseen, seen)
			}
			continue
		}
		seen++
		table.CgroupMade(id, path.Join(parent, name))
		table.CgroupGone(id, path.Join(parent, name))
		if got := table.ForCgroup(id); got == nil || got.ID != name {
			t.Errorf("%s, gone, is %+v", name, got)
		}
	}
	removeCgroups(parent)
}

// watchCgroups notes name and id of all cgroups that appear below dir, as
// kernel events would tell.
func watchCgroups(t *testing.T, dir string) (seen func() map[string]uint64) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	ids := map[string]uint64{}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for tick := time.NewTicker(500 * time.Microsecond); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if id, err := cgroupID(filepath.Join(dir, e.Name())); e.IsDir() && err == nil {
					mu.Lock()
					ids[e.Name()] = id
					mu.Unlock()
				}
			}
		}
	}()
	return func() map[string]uint64 {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(ids)
	}
}
