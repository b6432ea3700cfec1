// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// rootInode is the inode number, and so the cgroup id, of every hierarchy's root.
const rootInode = 1

// Hierarchy is the cgroup hierarchy in which workloads are told apart.
type Hierarchy struct {
	Version    int    // 1 or 2
	Controller string // v1: "memory", "pids"; v2: ""
	Mount      string // where it is mounted in skepd's mount namespace
	Root       string // the cgroup that is visible at Mount, "/" for all of it
	Subsys     string // the kernel's cgroup_subsys name, "" for v2
	Partial    bool   // Mount shows less than the host's whole hierarchy
}

func (h Hierarchy) String() string {
	if h.Version == 2 {
		return "cgroup v2 at " + h.Mount
	}
	return fmt.Sprintf("cgroup v1 %s at %s", h.Controller, h.Mount)
}

// Dir is the directory of a cgroup in skepd's mount namespace, by its path below the
// hierarchy's root.
func (h Hierarchy) Dir(cgroupPath string) string {
	if h.Root != "/" {
		cgroupPath = strings.TrimPrefix(cgroupPath, h.Root)
	}
	return path.Join(h.Mount, cgroupPath)
}

// v1Order is the order in which v1 controllers are preferred. Every runtime
// makes a cgroup in memory and pids; the others may be shared or absent.
var v1Order = []string{"memory", "pids", "cpu", "devices", "freezer", "cpuset", "cpuacct",
	"blkio", "net_cls", "perf_event", "net_prio", "hugetlb", "rdma", "misc"}

// ErrNoHierarchy: no cgroup filesystem is mounted where skepd can see it.
var ErrNoHierarchy = errors.New("no cgroup filesystem is mounted here: mount cgroup2 on /sys/fs/cgroup," +
	" or, in a container, give skepd the host's /sys/fs/cgroup")

// ChooseLive chooses for the calling process.
func ChooseLive() (Hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Hierarchy{}, fmt.Errorf("choose cgroup hierarchy: %w", err)
	}
	defer f.Close()
	return Choose(f, os.DirFS("/"))
}

// Choose picks the hierarchy from mountinfo (format of /proc/self/mountinfo)
// and the cgroup.controllers files found below root, the filesystem's "/".
//
// A controller is in one hierarchy at a time, so the one that holds memory is
// where the runtimes put their containers; without memory, pids decides. A v2
// that holds a stray controller (hugetlb, misc) beside v1 memory is no reason
// to choose v2. Then come other v1 controllers, and v2 with any controller or none.
// A named v1 hierarchy (name=systemd) is never chosen: kernel programs cannot look a
// process up in one.
func Choose(mountinfo io.Reader, root fs.FS) (Hierarchy, error) {
	mounts, err := parseMountinfo(mountinfo)
	if err != nil {
		return Hierarchy{}, fmt.Errorf("choose cgroup hierarchy: %w", err)
	}
	views := look(mounts, root)
	for _, controller := range v1Order {
		if v, ok := best(views, func(v view) bool { return v.has(controller) }); ok {
			return v.hierarchy(controller), nil
		}
	}
	if v, ok := best(views, func(v view) bool { return v.v2 }); ok {
		return v.hierarchy(""), nil
	}
	return Hierarchy{}, fmt.Errorf("choose cgroup hierarchy: %w", ErrNoHierarchy)
}

// RootV2 is where the root of the host's whole v2 hierarchy is mounted, "" if nowhere here:
// a program attached at the root of a cgroup namespace would see only what is in it.
func RootV2() string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	return rootV2(f, os.DirFS("/"))
}

func rootV2(mountinfo io.Reader, root fs.FS) string {
	mounts, err := parseMountinfo(mountinfo)
	if err != nil {
		return ""
	}
	v, _ := best(look(mounts, root), func(v view) bool { return v.v2 && v.inode == rootInode })
	return v.point
}

// view is a mount as it looks from here.
type view struct {
	mount
	controllers []string
	inode       uint64 // of the mount point, 0 if unknown
}

// look drops mounts that are hidden below another one.
func look(mounts []mount, root fs.FS) []view {
	var views []view
	for _, m := range mounts {
		dir := strings.TrimPrefix(path.Clean(m.point), "/")
		info, err := fs.Stat(root, dir)
		if err != nil || !info.IsDir() {
			continue
		}
		v := view{mount: m, controllers: m.options}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			v.inode = st.Ino
		}
		if m.v2 {
			list, _ := fs.ReadFile(root, path.Join(dir, "cgroup.controllers"))
			v.controllers = strings.Fields(string(list))
		}
		views = append(views, v)
	}
	return views
}

func (v view) has(controller string) bool { return slices.Contains(v.controllers, controller) }

// best takes, of several mounts of one hierarchy, the one that shows most: in
// a container its own part is mounted beside the host's whole tree.
func best(views []view, match func(view) bool) (found view, ok bool) {
	for _, v := range views {
		if match(v) && (!ok || v.extent() > found.extent()) {
			found, ok = v, true
		}
	}
	return found, ok
}

func (v view) extent() int {
	switch {
	case v.inode == rootInode:
		return 3
	case strings.HasPrefix(v.root, "/.."): // above the root of our cgroup namespace
		return 2
	case v.root == "/":
		return 1
	}
	return 0
}

func (v view) hierarchy(controller string) Hierarchy {
	h := Hierarchy{Version: 1, Controller: controller, Mount: v.point, Root: "/",
		Partial: v.inode != 0 && v.inode != rootInode || v.inode == 0 && v.root != "/"}
	if h.Partial && !strings.HasPrefix(v.root, "/..") {
		h.Root = path.Clean(v.root)
	}
	if v.v2 {
		h.Version, h.Controller = 2, ""
		return h
	}
	h.Subsys = subsys(controller)
	return h
}

// subsys is the kernel's name (enum cgroup_subsys_id without _cgrp_id) of a v1 controller.
func subsys(controller string) string {
	if controller == "blkio" {
		return "io"
	}
	return controller
}
