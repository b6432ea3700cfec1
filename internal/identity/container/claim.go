// SPDX-License-Identifier: Apache-2.0

package container

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A cgroup is named by whoever may make directories in the one above it. Where that is
// root, a container runtime has named it. Below a cgroup that belongs to another user
// (a login session's user@.service, a service with Delegate=, a container with a user
// namespace), that user names cgroups as he likes: a container there is his claim. It is
// believed, for rootless runtimes work like that, but not to be a container or in a pod
// that root has made: then the cgroup belongs to what it is in. And its name, image and
// labels come only from a socket of the same user.

// ownerOf returns whose directory the cgroup at a path is.
func (t *Table) ownerOf(dir string) (uid uint32, ok bool) {
	var stat unix.Stat_t
	if unix.Lstat(t.index.Hierarchy().Dir(dir), &stat) != nil {
		return 0, false
	}
	return stat.Uid, true
}

// given is the front of a cgroup's path that root has named, and the user whom the rest
// was given to, 0 if there is no rest. A cgroup that is gone has the owner of the nearest
// one above it that is there.
func (t *Table) given(cgroupPath string) (front string, uid uint32) {
	front = "/"
	for name := range strings.SplitSeq(strings.TrimPrefix(cgroupPath, "/"), "/") {
		front = path.Join(front, name)
		uid, ok := t.owner(front)
		if !ok {
			break
		}
		if uid != 0 && front != cgroupPath {
			return front, uid
		}
	}
	return cgroupPath, 0
}

// believe returns whose a cgroup is that calls itself id.
func (t *Table) believe(cgroupPath string, id ID) (ID, bool) {
	front, uid := t.given(cgroupPath)
	if uid == 0 {
		return id, true
	}
	sure, ok := Parse(front)
	if id.ID == sure.ID {
		return sure, true // inside a container that root has made
	}
	if t.made[id.ID] > 0 || id.PodUID != sure.PodUID && t.madePods[id.PodUID] > 0 {
		return sure, ok
	}
	id.Owner = uid
	return id, true
}

// count keeps which containers and pods root has made.
func (t *Table) count(id ID, n int) {
	if id.ID == "" || id.Owner != 0 {
		return
	}
	add(t.made, id.ID, n)
	if id.PodUID != "" {
		add(t.madePods, id.PodUID, n)
	}
}

func add(counts map[string]int, key string, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// refute takes back what was believed of a container or pod before root made the real
// one, and tells it like other news. It is called with the lock held.
func (t *Table) refute(id ID) {
	refuted := map[*workload]struct{}{}
	for w := range t.claims {
		if w.id.ID == id.ID || id.PodUID != "" && w.id.PodUID == id.PodUID {
			refuted[w] = struct{}{}
		}
	}
	if len(refuted) == 0 {
		return
	}
	// One pass, however many claims there are: a user may make thousands.
	told := make([]*Container, 0, len(refuted))
	for _, c := range t.cells {
		w := c.workload.Load()
		if _, ok := refuted[w]; ok {
			sure, _ := t.believe(c.path, w.claimed())
			t.assign(c, sure)
		}
	}
	for w := range refuted {
		told = append(told, w.current.Load())
	}
	go func() { // without the lock
		for _, c := range told {
			t.onResolved(c)
		}
	}()
}

// claimed is what the path of a claim says.
func (w *workload) claimed() ID {
	id := w.id
	id.Owner = 0
	return id
}
