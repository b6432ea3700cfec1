// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// snapshotKind is the kind of the records that hold a process of the table as it was when
// a period or an agent began. They are not among the records that are streamed.
const snapshotKind = "process"

// Snapshot makes the records that Options.Processes returns: one for each live process.
// They all take their origin and their time from one record.
func Snapshot(processes []*skepv1.ProcessInfo, origin *skepv1.Record) []*skepv1.Record {
	all := make([]*skepv1.Record, len(processes))
	for i, p := range processes {
		exec := p.GetExec()
		if exec == nil { // what it runs since its fork is known of its parent only
			exec = &skepv1.Exec{Args: p.GetArgs(), ArgsTruncated: p.GetArgsTruncated(), Cwd: p.GetCwd()}
		}
		all[i] = &skepv1.Record{
			NodeId: origin.NodeId, BootId: origin.BootId, NodeName: origin.NodeName, Cluster: origin.Cluster, Kind: snapshotKind,
			Seq: uint64(i), Time: origin.Time, BootNs: origin.BootNs, Process: p.GetProcess(), Body: &skepv1.Record_Exec{Exec: exec},
		}
	}
	return all
}

// replayBefore is how much before a snapshot the replay begins: what happened then may not
// have reached the process table when the snapshot was taken. Applying it twice is no harm.
const replayBefore = 5 * time.Second

// ProcessesAt returns the processes that lived at a time: the last snapshot before it,
// brought forward by what was forked, executed and ended since. Connections are not set.
// Where files could not be read, which are in missing, the answer may be wrong.
func (s *Store) ProcessesAt(ctx context.Context, at time.Time) (all []*skepv1.ProcessInfo, missing []Missing, err error) {
	past := s.Past()
	defer past.Close()
	table, missing, err := past.snapshotBefore(ctx, at)
	if err != nil {
		return nil, missing, err
	}
	if table == nil {
		oldest := "nothing is stored"
		if t := past.Oldest(); !t.IsZero() {
			oldest = "the disk log begins at " + t.UTC().Format(time.RFC3339)
		}
		if len(missing) > 0 {
			oldest += fmt.Sprintf(", and could not be read whole: %v", missing)
		}
		return nil, missing, fmt.Errorf("no process table is known of %s: %s", at.UTC().Format(time.RFC3339), oldest)
	}
	lifecycle := &skepv1.Filter{Kinds: []string{event.Fork.String(), event.Exec.String(), event.Exit.String()}}
	filter, err := filters.Compile(lifecycle, filters.Deps{})
	if err != nil {
		return nil, missing, err
	}
	gone, err := past.Read(ctx, table.taken.Add(-replayBefore), at, filter, func(r *skepv1.Record) error {
		if r.GetBootId() == table.boot {
			table.apply(r)
		}
		return nil
	})
	return table.list(), distinctFiles(missing, gone), err
}

// snapshotBefore finds the last snapshot before a time. Each period has one at its
// begin, so that few files are read.
func (p *Past) snapshotBefore(ctx context.Context, at time.Time) (table *processTable, missing []Missing, err error) {
	parts := slices.Clone(p.parts)
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(b.span.from, a.span.from) })
	for _, each := range parts {
		if !each.may(map[string]bool{snapshotKind: true}) || each.span.from > at.UnixNano() {
			continue
		}
		q := newQuery(time.Time{}, at, &filters.Filter{})
		q.kinds = map[string]bool{snapshotKind: true}
		q.match = func(r *skepv1.Record) bool { return r.GetKind() == snapshotKind }
		one := &Past{store: p.store, parts: []part{each}}
		gone, err := one.read(ctx, q, func(r *skepv1.Record) error {
			if taken := r.GetTime().AsTime(); table == nil || taken.After(table.taken) || r.GetBootId() != table.boot {
				table = &processTable{boot: r.GetBootId(), taken: taken, live: map[string]*skepv1.ProcessInfo{}}
			}
			table.add(r)
			return nil
		})
		missing = append(missing, gone...)
		if err != nil || table != nil {
			return table, missing, err
		}
	}
	return nil, missing, nil
}

// processTable is a process table that is made again.
type processTable struct {
	boot  string
	taken time.Time
	live  map[string]*skepv1.ProcessInfo // by process_id
}

// add takes a process of the snapshot.
func (t *processTable) add(r *skepv1.Record) {
	info := &skepv1.ProcessInfo{Process: r.GetProcess(), Started: startOf(r)}
	exec := r.GetExec()
	info.Args, info.ArgsTruncated, info.Cwd = exec.GetArgs(), exec.GetArgsTruncated(), exec.GetCwd()
	if exec.GetFile() != nil {
		info.Exec = exec
	}
	t.live[r.GetProcess().GetProcessId()] = info
}

func (t *processTable) apply(r *skepv1.Record) {
	id := r.GetProcess().GetProcessId()
	old := t.live[id]
	switch {
	case r.GetExit() != nil:
		delete(t.live, id)
	case old != nil && execTime(old.GetProcess()) >= execTime(r.GetProcess()):
		// The snapshot has it, or what came after it.
	case r.GetExec() != nil:
		t.add(r)
	case old == nil:
		info := &skepv1.ProcessInfo{Process: r.GetProcess(), Started: startOf(r)}
		if parent := t.image(r.GetProcess().GetParentExecId()); parent != nil {
			info.Args, info.ArgsTruncated, info.Cwd = parent.Args, parent.ArgsTruncated, parent.Cwd
		}
		t.live[id] = info
	}
}

// image is the live process whose present image has an exec id.
func (t *processTable) image(execID string) *skepv1.ProcessInfo {
	end := strings.LastIndexByte(execID, '-')
	if end < 0 {
		return nil
	}
	if p := t.live[execID[:end]]; p.GetProcess().GetExecId() == execID {
		return p
	}
	return nil
}

// list is the table by start time, as the agent's own is listed.
func (t *processTable) list() []*skepv1.ProcessInfo {
	all := make([]*skepv1.ProcessInfo, 0, len(t.live))
	for _, p := range t.live {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *skepv1.ProcessInfo) int {
		return cmp.Or(a.GetStarted().AsTime().Compare(b.GetStarted().AsTime()), cmp.Compare(a.GetProcess().GetPid(), b.GetProcess().GetPid()))
	})
	return all
}

// Ids end in the boot times of start and exec, see identity.Names.

func startOf(r *skepv1.Record) *timestamppb.Timestamp {
	began, ok := lastNumber(r.GetProcess().GetProcessId())
	if !ok {
		return r.GetTime()
	}
	return timestamppb.New(r.GetTime().AsTime().Add(-time.Duration(r.GetBootNs() - began)))
}

func execTime(p *skepv1.Process) uint64 {
	n, _ := lastNumber(p.GetExecId())
	return n
}

func lastNumber(id string) (uint64, bool) {
	n, err := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	return n, err == nil
}
