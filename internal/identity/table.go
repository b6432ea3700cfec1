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
//     superseded) are kept first in, first out, up to a bound in number and one in
//     bytes; a dead parent is kept while a child lives.
//   - Nothing outside the table's entries is kept in memory by one of them.
//   - One writer (the agent's ring reader) beside the scans of existing processes,
//     which may be older or newer than what the ring still holds; any number of readers.
//   - An exit is told once, also if a scan has missed the process before.
package identity

import (
	"sync"
	"sync/atomic"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/redact"
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
	names     Names
	cgroups   Cgroups
	keep      int
	keepBytes int
	read      func(abi.ExecID) (*skepv1.Exec, string) // readProc, but in tests

	stuck atomic.Int64 // processes that keep a reader of /proc waiting

	mutex     sync.RWMutex
	latest    map[uint32]*entry // the image that each pid had last: the live one, or a dead one
	living    int               // how many of them are live
	entries   map[abi.ExecID]*entry
	dead      []*entry              // without live children, oldest first
	deadBytes int                   // the sum of their sizes
	started   map[string]abi.ExecID // containers: the first process that was seen to exec in each
	filling   chan struct{}         // closed when Fill ends, nil if there is nothing to fill
}

// deadBudget is how many bytes of dead entries are kept at most, by the estimate of
// entry.bytes: the arguments of one may take 12 KiB. It is 2 KiB for each of 4,096.
const deadBudget = 8 << 20

// entry is one image of a process.
type entry struct {
	id, parent abi.ExecID
	up         *entry // the parent's entry, while this one lives
	process    *skepv1.Process
	exec       *skepv1.Exec // nil for a fork: that of the image it was forked from is in origin
	origin     *skepv1.Exec
	bare       bool // of a scan: Fill has not read what /proc says of it
	filling    bool // Fill is reading it
	cgroup     uint64
	placedNS   uint64 // boot time of the move or scan that cgroup is from; 0: of the image
	children   int    // live entries whose parent this is
	inside     bool   // forked by a process of its own container
	dead       bool
	queued     bool // in Table.dead
	size       int  // as counted in Table.deadBytes
	vanished   bool // dead because a scan did not find it: its exit may still come
	exitedNS   uint64
	exit       *skepv1.Exit
}

// New makes an empty table that remembers up to `keep` dead entries, of 8 MiB at most.
// Secrets are taken out of the arguments that it reads from /proc.
func New(names Names, cgroups Cgroups, keep int, secrets *redact.Redactor) *Table {
	return &Table{
		names: names, cgroups: cgroups, keep: keep, keepBytes: deadBudget,
		read:   func(id abi.ExecID) (*skepv1.Exec, string) { return readProc(id, secrets) },
		latest: map[uint32]*entry{}, entries: map[abi.ExecID]*entry{}, started: map[string]abi.ExecID{},
	}
}

func key(id abi.ExecID) abi.ExecID {
	id.Pad = 0
	return id
}

// processKey is the id of a process whose exec time is not known.
func processKey(id abi.ExecID) abi.ExecID {
	id.ExecNS = 0
	return id
}

// named is the id by which an image is known to users: as long as the time of its last exec
// is not known, the process's start stands for it.
func named(id abi.ExecID) abi.ExecID {
	if id.ExecNS == 0 {
		id.ExecNS = id.StartNS
	}
	return id
}

// Fork adds a new process and returns it.
func (t *Table) Fork(p *abi.Process, comm string) *skepv1.Process {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	e, _ := t.add(p)
	e.process.Comm = comm
	if e.up != nil {
		e.process.Exe, e.origin = e.up.process.Exe, e.up.image()
	}
	e.inside = e.bornInside()
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
	e, place := t.add(p)
	e.exec = body
	e.process.Comm, e.process.Exe = comm, body.File.GetPath()
	body.CgroupId, body.Cgroup = p.CgroupID, place.Cgroup
	body.EnteredContainer = t.entered(e, body)
	return e.process
}

// Exit ends a process. It returns nil if that was known already: of the last two
// threads of a process each may report its end.
func (t *Table) Exit(p *abi.Process, comm string, bootNS uint64, body *skepv1.Exit) *skepv1.Process {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	e := t.image(key(p.ID))
	switch {
	case e == nil && t.ended(key(p.ID)):
		return nil
	case e == nil:
		e, _ = t.add(p)
		e.process.Comm = comm
	case e.dead && !e.vanished:
		return nil
	}
	e.exit, e.vanished = body, false
	if e.dead {
		e.exitedNS = bootNS
	} else {
		t.retire(e, bootNS)
	}
	return e.process
}

// image finds the image that an event means by id. The kernel side does not know the time
// of the last exec where it had no room for the process, or has forgotten it already: it
// says 0, which means the latest.
func (t *Table) image(id abi.ExecID) *entry {
	if id.ExecNS != 0 {
		return t.entries[id]
	}
	if e := t.latest[id.Tgid]; e != nil && sameProcess(e.id, id) {
		return e
	}
	return nil
}

// live is the entry of the process that has a pid now, nil without one.
func (t *Table) live(pid uint32) *entry {
	if e := t.latest[pid]; e != nil && !e.dead {
		return e
	}
	return nil
}

// allLive yields the entries of the host's processes.
func (t *Table) allLive(yield func(*entry) bool) {
	for _, e := range t.latest {
		if !e.dead && !yield(e) {
			return
		}
	}
}

// ended tells whether a process has ended just now, for the second of two last threads,
// whose record comes right behind the first's.
func (t *Table) ended(id abi.ExecID) bool {
	for i := len(t.dead) - 1; i >= max(0, len(t.dead)-64); i-- {
		if e := t.dead[i]; sameProcess(e.id, id) && e.exit != nil {
			return true
		}
	}
	return false
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
	return &skepv1.Process{ProcessId: t.names.Process(id), ExecId: t.names.Exec(named(id)), Pid: id.Tgid}
}

// Knows tells whether the table has the image of an exec id itself, and not only its process.
func (t *Table) Knows(id abi.ExecID) bool {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	return t.image(key(id)) != nil
}

// find also takes the id of an image that was not seen, or is forgotten, while its process lives.
func (t *Table) find(id abi.ExecID) *entry {
	if e := t.image(id); e != nil {
		return e
	}
	if e := t.live(id.Tgid); e != nil && sameProcess(e.id, id) {
		return e
	}
	return nil
}
