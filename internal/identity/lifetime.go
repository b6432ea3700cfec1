// SPDX-License-Identifier: Apache-2.0

package identity

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// add makes the entry of an image and retires the one it supersedes. An image may come
// twice, from a scan and then from the ring: its entry starts anew, but keeps its children.
func (t *Table) add(p *abi.Process) (*entry, Place) {
	id := named(key(p.ID))
	old := t.live(id.Tgid)
	if old != nil {
		t.retire(old, 0)
	}
	place := t.cgroups.Place(p.CgroupID)
	e := t.entries[id]
	if e == nil {
		e = &entry{}
		t.entries[id] = e
	}
	// A process that was born inside its container stays so, whatever it execs.
	inside := old != nil && old != e && old.inside && sameProcess(old.id, id)
	*e = entry{
		id: id, parent: key(p.Parent), cgroup: p.CgroupID, inside: inside,
		children: e.children, queued: e.queued, size: e.size,
	}
	execID, processID := t.names.both(id)
	e.process = &skepv1.Process{
		ProcessId: processID, ExecId: execID, Pid: id.Tgid, Ppid: p.Parent.Tgid, Uid: p.UID,
		Container: place.Container, Unit: place.Unit, Preexisting: p.Flags&uint16(abi.ProcessPreexisting) != 0,
	}
	t.latest[id.Tgid] = e
	t.living++
	t.adopt(e)
	return e, place
}

// adopt ties an entry to its parent's.
func (t *Table) adopt(e *entry) {
	if e.parent.Tgid == 0 {
		return // a kernel thread's, or the first process's
	}
	e.up = t.image(e.parent)
	if e.up == nil {
		e.parent = named(e.parent)
		e.process.ParentExecId = t.names.Exec(e.parent)
		return
	}
	e.parent = e.up.id
	e.up.children++
	e.process.ParentExecId = e.up.process.ExecId
}

// retire moves an entry to the dead.
func (t *Table) retire(e *entry, exitedNS uint64) {
	if e.dead {
		return
	}
	e.dead, e.exitedNS = true, exitedNS
	t.living--
	if up := e.up; up != nil {
		e.up = nil // or each generation would keep the one before
		up.children--
		t.bury(up)
	}
	t.bury(e)
	t.evict()
}

// bury queues a dead entry to be forgotten, unless a child lives.
func (t *Table) bury(e *entry) {
	if !e.dead || e.children != 0 {
		return
	}
	t.deadBytes -= e.size // it may be queued from an earlier life
	e.size = e.bytes()
	t.deadBytes += e.size
	if !e.queued {
		e.queued = true
		t.dead = append(t.dead, e)
	}
}

// evict forgets the oldest of the dead beyond the bounds.
func (t *Table) evict() {
	for len(t.dead) > t.keep || t.deadBytes > t.keepBytes {
		e := t.dead[0]
		t.dead[0] = nil
		t.dead = t.dead[1:]
		t.deadBytes -= e.size
		e.queued, e.size = false, 0
		// It may have come to life, or to children, from the ring after a scan.
		if e.dead && e.children == 0 {
			delete(t.entries, e.id)
			if t.latest[e.id.Tgid] == e {
				delete(t.latest, e.id.Tgid)
			}
		}
	}
}

// bytes estimates the memory that an entry keeps. An image shared with forks is counted
// for each: it may be the last to hold it.
func (e *entry) bytes() int {
	const fixed, stringHeader = 1 << 10, 16
	size := fixed + len(e.process.Exe) + len(e.process.Unit)
	image := e.image()
	if image == nil {
		return size
	}
	for _, arg := range image.Args {
		size += stringHeader + len(arg)
	}
	return size + len(image.ArgsRaw) + len(image.File.GetPath()) + len(image.Filename) + len(image.Script) +
		len(image.Cwd) + len(image.Cgroup)
}
