// SPDX-License-Identifier: Apache-2.0

// Package identity keeps the agent's process table: user space's side of the one
// kernel-side identity.
//
// # Problem
//
// A record names its process by exec id. Whoever reads it wants the executable, the
// parent, the container; also when the process is long gone, has exec'd again, or
// was there before the agent.
//
// # Mechanism
//
// One entry per image: a fork makes one, each exec another that supersedes it. The
// public *skepv1.Process of an entry is made once and shared by all records that
// speak of it; when the container's name arrives, it is replaced by a changed copy,
// never written to.
//
// # Invariants
//
//   - Live entries are as many as the host's processes. Dead ones (exited or
//     superseded) are kept first in, first out, up to a bound; a dead parent is
//     kept while a child lives.
//   - One writer (the agent's ring reader); any number of readers.
package identity

import (
	"sync"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// Place is where in the host a process lives.
type Place struct {
	Container *skepv1.Container // nil outside one
	Unit      string            // systemd unit
	Cgroup    string            // path in the chosen hierarchy
}

// Cgroups tells which place a cgroup id means. It must be cheap: it is asked per event.
type Cgroups interface {
	Place(cgroupID uint64) Place
}

// Table is the process table.
type Table struct {
	names   Names
	cgroups Cgroups
	keep    int

	mutex   sync.RWMutex
	live    map[uint32]*entry
	entries map[abi.ExecID]*entry
	dead    []abi.ExecID    // oldest first
	started map[string]bool // containers whose first process was seen
}

// entry is one image of a process.
type entry struct {
	id, parent abi.ExecID
	process    *skepv1.Process
	exec       *skepv1.Exec // nil for a fork: that of the image it was forked from is in origin
	origin     *skepv1.Exec
	cgroup     uint64
	children   int // live entries whose parent this is
	dead       bool
	exitedNS   uint64
	exit       *skepv1.Exit
}

// New makes an empty table that remembers up to `keep` dead entries.
func New(names Names, cgroups Cgroups, keep int) *Table {
	return &Table{
		names: names, cgroups: cgroups, keep: keep,
		live: map[uint32]*entry{}, entries: map[abi.ExecID]*entry{}, started: map[string]bool{},
	}
}

func key(id abi.ExecID) abi.ExecID {
	id.Pad = 0
	return id
}

// Fork adds a new process and returns it.
func (t *Table) Fork(p *abi.Process, comm string) *skepv1.Process {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	e := t.add(p)
	e.process.Comm = comm
	if parent := t.entries[e.parent]; parent != nil {
		e.process.Exe, e.origin = parent.process.Exe, parent.image()
	}
	return e.process
}

// image is the exec whose program this entry runs, nil if not known.
func (e *entry) image() *skepv1.Exec {
	if e.exec != nil {
		return e.exec
	}
	return e.origin
}

// Exec replaces a process's image. It fills in what only user space knows of body:
// the cgroup's path and whether the process came into its container from outside.
func (t *Table) Exec(p *abi.Process, comm string, body *skepv1.Exec) *skepv1.Process {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	e := t.add(p)
	e.exec = body
	e.process.Comm, e.process.Exe = comm, body.File.GetPath()
	body.CgroupId = p.CgroupID
	body.Cgroup = t.cgroups.Place(p.CgroupID).Cgroup
	body.EnteredContainer = t.entered(e)
	return e.process
}

// entered decides whether a process was started in a running container from outside:
// its parent is not in the container, and it is not the first that was started there.
func (t *Table) entered(e *entry) bool {
	id := e.process.GetContainer().GetId()
	if id == "" {
		return false
	}
	running := t.started[id]
	t.started[id] = true
	parent := t.entries[e.parent]
	return running && parent != nil && parent.process.GetContainer().GetId() != id
}

// add makes the entry of an image and retires the one it supersedes.
func (t *Table) add(p *abi.Process) *entry {
	id := key(p.ID)
	if old := t.live[id.Tgid]; old != nil && old.id != id {
		t.retire(old, 0)
	}
	place := t.cgroups.Place(p.CgroupID)
	e := &entry{id: id, parent: key(p.Parent), cgroup: p.CgroupID, process: &skepv1.Process{
		ProcessId: t.names.Process(id), ExecId: t.names.Exec(id),
		Pid: id.Tgid, Ppid: p.Parent.Tgid, Uid: p.UID,
		Container: place.Container, Unit: place.Unit, Preexisting: p.Flags&1 != 0,
	}}
	if p.Parent.Tgid != 0 {
		e.process.ParentExecId = t.parentName(e.parent)
	}
	t.live[id.Tgid], t.entries[id] = e, e
	if parent := t.entries[e.parent]; parent != nil {
		parent.children++
	}
	return e
}

// parentName shares the string with the parent's own record where it can.
func (t *Table) parentName(id abi.ExecID) string {
	if parent := t.entries[id]; parent != nil {
		return parent.process.ExecId
	}
	return t.names.Exec(id)
}

// Exit ends a process. It returns nil if that was known already: of the last two
// threads of a process each may report its end.
func (t *Table) Exit(p *abi.Process, comm string, bootNS uint64, body *skepv1.Exit) *skepv1.Process {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	id := key(p.ID)
	e := t.entries[id]
	if e == nil {
		e = t.add(p)
		e.process.Comm = comm
	}
	if e.dead {
		return nil
	}
	e.exit = body
	t.retire(e, bootNS)
	return e.process
}

// retire moves an entry to the dead and forgets the oldest of those.
func (t *Table) retire(e *entry, exitedNS uint64) {
	if e.dead {
		return
	}
	e.dead, e.exitedNS = true, exitedNS
	if t.live[e.id.Tgid] == e {
		delete(t.live, e.id.Tgid)
	}
	if parent := t.entries[e.parent]; parent != nil {
		parent.children--
	}
	t.dead = append(t.dead, e.id)
	// A parent with live children goes to the back of the queue, once per pass.
	for tries := len(t.dead); len(t.dead) > t.keep && tries > 0; tries-- {
		oldest := t.dead[0]
		t.dead = t.dead[1:]
		old := t.entries[oldest]
		if old == nil || !old.dead {
			continue // the same image came in again, from the ring after a scan
		}
		if old.children > 0 {
			t.dead = append(t.dead, oldest)
			continue
		}
		delete(t.entries, oldest)
	}
}

// Move puts a process into another cgroup.
func (t *Table) Move(id abi.ExecID, cgroup uint64) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if e := t.entries[key(id)]; e != nil {
		e.cgroup = cgroup
		t.refresh(e)
	}
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
	for _, e := range t.live {
		t.refresh(e)
	}
}

// ForgetContainer drops what is remembered of a container that is gone.
func (t *Table) ForgetContainer(id string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.started, id)
}

// cloneProcess is a copy of the fields, not of the message's internal state.
func cloneProcess(p *skepv1.Process) *skepv1.Process {
	return &skepv1.Process{
		ProcessId: p.ProcessId, ExecId: p.ExecId, ParentExecId: p.ParentExecId, Pid: p.Pid, Ppid: p.Ppid,
		Comm: p.Comm, Exe: p.Exe, Uid: p.Uid, Container: p.Container, Preexisting: p.Preexisting, Unit: p.Unit,
	}
}

// Process returns the public process of an exec id. One that is not in the table is
// made up of the id alone.
func (t *Table) Process(id abi.ExecID) *skepv1.Process {
	id = key(id)
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	if e := t.find(id); e != nil {
		return e.process
	}
	return &skepv1.Process{ProcessId: t.names.Process(id), ExecId: t.names.Exec(id), Pid: id.Tgid}
}

// find also takes the id of a process whose exec time the kernel side did not know.
func (t *Table) find(id abi.ExecID) *entry {
	if e := t.entries[id]; e != nil {
		return e
	}
	if e := t.live[id.Tgid]; e != nil && e.id.StartNS == id.StartNS {
		return e
	}
	return nil
}
