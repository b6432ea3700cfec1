// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// v1 and v2 make mountinfo lines; root is what of the filesystem is mounted.
func v1(root, point, options string) string {
	return "35 31 0:32 " + root + " " + point + " rw,relatime shared:9 - cgroup cgroup rw," + options + "\n"
}

func v2(root, point string) string {
	return "41 31 0:38 " + root + " " + point + " rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
}

// tree makes directories with an inode, "path" or "path=inode", and their
// cgroup.controllers, "path:memory pids".
func tree(specs ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, s := range specs {
		dir, controllers, isV2 := strings.Cut(s, ":")
		dir, inode, _ := strings.Cut(dir, "=")
		st := &syscall.Stat_t{Ino: 1}
		if inode != "" {
			st.Ino = 4711
		}
		files[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o555, Sys: st}
		if isV2 {
			files[dir+"/cgroup.controllers"] = &fstest.MapFile{Data: []byte(controllers + "\n")}
		}
	}
	return files
}

func TestChoose(t *testing.T) {
	const at = "/sys/fs/cgroup"
	memory := Hierarchy{Version: 1, Controller: "memory", Subsys: "memory", Mount: at + "/memory", Root: "/"}
	for _, c := range []struct {
		name   string
		mounts string
		files  fstest.MapFS
		want   Hierarchy
	}{
		{"v2", v2("/", at), tree("sys/fs/cgroup:cpuset cpu io memory pids"), Hierarchy{Version: 2, Mount: at, Root: "/"}},
		{"v1", v1("/", at+"/cpu,cpuacct", "cpu,cpuacct") + v1("/", at+"/memory", "memory") + v1("/", at+"/systemd", "xattr,name=systemd"),
			tree("sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory", "sys/fs/cgroup/systemd"), memory},
		{"hybrid, v2 without controllers", v2("/", at+"/unified") + v1("/", at+"/memory", "memory"),
			tree("sys/fs/cgroup/unified:", "sys/fs/cgroup/memory"), memory},
		{"hybrid, v2 with a stray controller", v2("/", at+"/unified") + v1("/", at+"/memory", "memory"),
			tree("sys/fs/cgroup/unified:hugetlb", "sys/fs/cgroup/memory"), memory},
		{"v2, v1 with a stray controller", v1("/", at+"/net_cls", "net_cls") + v2("/", at),
			tree("sys/fs/cgroup:cpu memory pids", "sys/fs/cgroup/net_cls"), Hierarchy{Version: 2, Mount: at, Root: "/"}},
		{"memory disabled at boot, v2", v2("/", at), tree("sys/fs/cgroup:cpu io pids"), Hierarchy{Version: 2, Mount: at, Root: "/"}},
		{"memory disabled at boot, v1", v1("/", at+"/cpu", "cpu") + v1("/", at+"/pids", "pids"),
			tree("sys/fs/cgroup/cpu", "sys/fs/cgroup/pids"),
			Hierarchy{Version: 1, Controller: "pids", Subsys: "pids", Mount: at + "/pids", Root: "/"}},
		{"only blkio", v1("/", at+"/blkio", "blkio"), tree("sys/fs/cgroup/blkio"),
			Hierarchy{Version: 1, Controller: "blkio", Subsys: "io", Mount: at + "/blkio", Root: "/"}},
		{"only systemd's and an empty v2", v2("/", at+"/unified") + v1("/", at+"/systemd", "name=systemd"),
			tree("sys/fs/cgroup/unified:", "sys/fs/cgroup/systemd"),
			Hierarchy{Version: 2, Mount: at + "/unified", Root: "/"}}, // what kernel programs see
		{"an empty v2", v2("/", at), tree("sys/fs/cgroup:"), Hierarchy{Version: 2, Mount: at, Root: "/"}},
		{"in a container, host's mount beside", v2("/", at) + v2("/../..", "/host/cgroup"),
			tree("sys/fs/cgroup=77:memory pids", "host/cgroup:memory pids"), Hierarchy{Version: 2, Mount: "/host/cgroup", Root: "/"}},
		{"in a v1 container, host's mount beside", v1("/docker/abc", at+"/memory", "memory") + v1("/", "/host/memory", "memory"),
			tree("sys/fs/cgroup/memory=77", "host/memory"),
			Hierarchy{Version: 1, Controller: "memory", Subsys: "memory", Mount: "/host/memory", Root: "/"}},
		{"in a v1 container without the host's", v1("/docker/abc", at+"/memory", "memory"), tree("sys/fs/cgroup/memory=77"),
			Hierarchy{Version: 1, Controller: "memory", Subsys: "memory", Mount: at + "/memory", Root: "/docker/abc", Partial: true}},
		{"in a container with its own namespace", v2("/", at), tree("sys/fs/cgroup=77:memory"),
			Hierarchy{Version: 2, Mount: at, Root: "/", Partial: true}},
		{"hidden by another mount", v1("/", "/gone/memory", "memory") + v1("/", at+"/pids", "pids"), tree("sys/fs/cgroup/pids"),
			Hierarchy{Version: 1, Controller: "pids", Subsys: "pids", Mount: at + "/pids", Root: "/"}},
		{"mounted twice on one point", v1("/a", at+"/memory", "memory") + v1("/", at+"/memory", "memory"), tree("sys/fs/cgroup/memory"), memory},
		{"a space in the path", v2("/", `/my\040cgroup`), tree("my cgroup:memory"), Hierarchy{Version: 2, Mount: "/my cgroup", Root: "/"}},
	} {
		got, err := Choose(strings.NewReader(c.mounts), c.files)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestChooseNone(t *testing.T) {
	for name, mounts := range map[string]string{
		"no cgroup mount": "22 27 0:21 / /proc rw - proc proc rw\n",
		"only systemd's":  v1("/", "/sys/fs/cgroup/systemd", "xattr,name=systemd"),
	} {
		if h, err := Choose(strings.NewReader(mounts), tree("sys/fs/cgroup/systemd")); !errors.Is(err, ErrNoHierarchy) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func TestRootV2(t *testing.T) {
	for _, c := range []struct{ name, mounts, want string }{
		{"usual", v1("/", "/v1", "memory") + v2("/", "/v2"), "/v2"},
		{"a space in the path", v2("/", `/my\040cgroup`), "/my cgroup"},
		{"hidden by another mount on its point", v2("/", "/v2") + v1("/", "/v2", "memory"), ""},
		{"the namespace's root first", v2("/", "/part") + v2("/../..", "/v2"), "/v2"},
		{"a namespace's root only", v2("/", "/part"), ""},
		{"v1 only", v1("/", "/v1", "memory"), ""},
	} {
		if got := rootV2(strings.NewReader(c.mounts), tree("v1", "v2:memory", "my cgroup:memory", "part=77:memory")); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestChooseLive compares with what /proc/cgroups says of memory.
func TestChooseLive(t *testing.T) {
	h, err := ChooseLive()
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if f[0] == "memory" && f[3] == "1" && (f[1] == "0") != (h.Version == 2) {
			t.Errorf("memory is in hierarchy %s, chosen was %+v", f[1], h)
		}
	}
}

func TestProcPath(t *testing.T) {
	const content = "8:pids:/p\n5:cpu,cpuacct:/c\n4:memory:/m:x\n1:name=systemd:/s\n0::/u\n"
	for _, c := range []struct {
		h    Hierarchy
		id   int
		path string
	}{
		{Hierarchy{Version: 1, Controller: "memory"}, 4, "/m:x"},
		{Hierarchy{Version: 1, Controller: "cpuacct"}, 5, "/c"},
		{Hierarchy{Version: 2}, 0, "/u"},
	} {
		id, path, ok := c.h.ProcPath(content)
		if !ok || id != c.id || path != c.path {
			t.Errorf("%s: %d %q %v", c.h, id, path, ok)
		}
	}
	if _, _, ok := (Hierarchy{Version: 1, Controller: "rdma"}).ProcPath(content); ok {
		t.Error("found a controller that is not there")
	}
}

func FuzzChoose(f *testing.F) {
	live, _ := os.ReadFile("/proc/self/mountinfo")
	f.Add(string(live), "hugetlb")
	f.Add(v1("/docker/abc", `/sys/fs/cgroup/mem\134ory`, "memory")+v2("/../..", "/sys/fs/cgroup"), "memory pids")
	f.Add("1 2 3:4 / / rw - cgroup2 c rw", "")
	f.Fuzz(func(t *testing.T, mountinfo, controllers string) {
		files := fstest.MapFS{"sys/fs/cgroup/cgroup.controllers": {Data: []byte(controllers)},
			"sys/fs/cgroup/memory": {Mode: fs.ModeDir}}
		h, err := Choose(strings.NewReader(mountinfo), files)
		if err == nil && (h.Version != 1 && h.Version != 2 || h.Root == "" || h.Root[0] != '/') {
			t.Fatalf("%q: %+v", mountinfo, h)
		}
	})
}

func FuzzProcPath(f *testing.F) {
	f.Add("4:memory:/a\n0::/b\n", "memory")
	f.Fuzz(func(t *testing.T, content, controller string) {
		for version := 1; version <= 2; version++ {
			_, path, ok := Hierarchy{Version: version, Controller: controller}.ProcPath(content)
			if ok && !strings.Contains(content, path) {
				t.Fatalf("%q: invented %q", content, path)
			}
		}
	})
}
