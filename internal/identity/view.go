// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// Clock turns boot time into wall time.
type Clock interface {
	Wall(bootNS uint64) *timestamppb.Timestamp
}

// View reads the table for users: lists, one process whole, ancestors.
type View struct {
	Table *Table
	Clock Clock
}

// List returns the live processes, with exited also those that are remembered, by
// start time.
func (v View) List(exited bool) []*skepv1.ProcessInfo {
	t := v.Table
	t.await()
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	entries := make([]*entry, 0, t.living)
	for e := range t.allLive {
		entries = append(entries, e)
	}
	if exited {
		for _, e := range t.entries {
			if e.dead && e.exitedNS != 0 {
				entries = append(entries, e)
			}
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.id.StartNS, b.id.StartNS), cmp.Compare(a.id.Tgid, b.id.Tgid))
	})
	all := make([]*skepv1.ProcessInfo, len(entries))
	for i, e := range entries {
		all[i] = v.info(e)
	}
	return all
}

func (v View) info(e *entry) *skepv1.ProcessInfo {
	info := &skepv1.ProcessInfo{Process: e.process, Started: v.Clock.Wall(e.id.StartNS), Exec: e.exec}
	if image := e.image(); image != nil {
		info.Args, info.ArgsTruncated, info.Cwd = image.Args, image.ArgsTruncated, image.Cwd
	}
	if e.exitedNS != 0 {
		info.Exited, info.Exit = v.Clock.Wall(e.exitedNS), e.exit
	}
	return info
}

// Get finds a process by process_id or exec_id or, if id is empty, the live process pid.
func (v View) Get(id string, pid uint32) (*skepv1.GetProcessResponse, bool) {
	t := v.Table
	t.await()
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	e := t.live(pid)
	if id != "" {
		e = t.byName(id)
	}
	if e == nil {
		return nil, false
	}
	r := &skepv1.GetProcessResponse{Process: v.info(e)}
	for a := t.entries[e.parent]; a != nil; a = t.entries[a.parent] {
		r.Ancestors = append(r.Ancestors, v.info(a))
	}
	for _, other := range t.entries {
		if (!other.dead || other.exitedNS != 0) && sameProcess(other.parent, e.id) {
			r.Children = append(r.Children, v.info(other))
		}
	}
	slices.SortFunc(r.Children, func(a, b *skepv1.ProcessInfo) int {
		return a.Started.AsTime().Compare(b.Started.AsTime())
	})
	return r, true
}

func sameProcess(a, b abi.ExecID) bool { return a.Tgid == b.Tgid && a.StartNS == b.StartNS }

// byName finds an entry by exec_id, or a process's latest by process_id.
func (t *Table) byName(name string) *entry {
	id, whole, ok := t.names.Parse(name)
	if !ok {
		return nil
	}
	if whole {
		return t.entries[id]
	}
	if e := t.live(id.Tgid); e != nil && e.id.StartNS == id.StartNS {
		return e
	}
	var latest *entry
	for _, e := range t.entries {
		if sameProcess(e.id, id) && (latest == nil || e.id.ExecNS > latest.id.ExecNS) {
			latest = e
		}
	}
	return latest
}

// Ancestors yields the ancestors of an exec id, parent first.
func (v View) Ancestors(execID string, yield func(*skepv1.Process) bool) {
	t := v.Table
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	e := t.byName(execID)
	if e == nil {
		return
	}
	for a := t.entries[e.parent]; a != nil && yield(a.process); a = t.entries[a.parent] {
	}
}

// Len returns the number of live entries and of all.
func (t *Table) Len() (live, all int) {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	return t.living, len(t.entries)
}
