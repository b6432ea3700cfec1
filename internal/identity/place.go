// SPDX-License-Identifier: Apache-2.0

package identity

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

func (e *entry) containerID() string { return e.process.GetContainer().GetId() }

// bornInside tells whether a process was forked by one of its own container.
func (e *entry) bornInside() bool {
	id := e.containerID()
	return id != "" && e.up != nil && e.up.containerID() == id
}

// entered decides whether a process was started in a running container from outside.
// Neither the container's first process was, whatever it execs later, nor one that was
// forked inside, whoever its parent is by now.
func (t *Table) entered(e *entry, body *skepv1.Exec) bool {
	id := e.containerID()
	if id == "" {
		return false
	}
	first, running := t.started[id]
	if !running {
		t.started[id] = e.id
		return false
	}
	if e.inside || body.NsPid == 1 || sameProcess(first, e.id) {
		return false
	}
	return e.up != nil && e.up.containerID() != id
}

// Move puts a process into another cgroup, which it came to at a boot time in nanoseconds.
func (t *Table) Move(id abi.ExecID, cgroup, bootNS uint64) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if e := t.find(key(id)); e != nil && e.placedNS <= bootNS {
		t.place(e, cgroup, bootNS)
	}
}

// correct takes a live process's cgroup from a scan that began at a boot time, unless what
// is known of it is younger: the record of a move may have been lost.
func (t *Table) correct(p *abi.Process, scannedNS uint64) {
	e := t.live(p.ID.Tgid)
	if e != nil && sameProcess(e.id, p.ID) && e.cgroup != p.CgroupID && max(e.placedNS, e.id.ExecNS) < scannedNS {
		t.place(e, p.CgroupID, scannedNS)
	}
}

func (t *Table) place(e *entry, cgroup, bootNS uint64) {
	e.cgroup, e.placedNS = cgroup, bootNS
	t.refresh(e)
}

// refresh replaces an entry's public process if its place has changed.
func (t *Table) refresh(e *entry) {
	place := t.cgroups.Place(e.cgroup)
	if place.Container == e.process.Container && place.Unit == e.process.Unit {
		return
	}
	e.process = cloneProcess(e.process)
	e.process.Container, e.process.Unit = place.Container, place.Unit
}

// Refresh takes over what has become known of containers since.
func (t *Table) Refresh() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for e := range t.allLive {
		t.refresh(e)
	}
}

// ForgetContainer drops what is remembered of a container that is gone. One with
// processes is not: it was a cgroup inside it that went.
func (t *Table) ForgetContainer(id string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if _, known := t.started[id]; !known {
		return
	}
	for e := range t.allLive {
		if e.containerID() == id {
			return
		}
	}
	delete(t.started, id)
}
