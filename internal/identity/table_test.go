// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// places maps cgroup ids to places, as a test sets them.
type places map[uint64]Place

func (p places) Place(id uint64) Place { return p[id] }

type zero struct{}

func (zero) Wall(bootNS uint64) *timestamppb.Timestamp {
	return &timestamppb.Timestamp{Nanos: int32(bootNS)}
}

var testNode = Node{ID: "11111111-0000", BootID: "22222222-0000"}

func newTable(keep int) (*Table, places) {
	p := places{}
	return New(NewNames(testNode), p, keep, nil), p
}

// proc is an image: tgid, start, exec and the parent's three.
func proc(tgid uint32, start, exec uint64, parent abi.ExecID) *abi.Process {
	return &abi.Process{ID: abi.ExecID{Tgid: tgid, StartNS: start, ExecNS: exec}, Parent: parent}
}

func (t *Table) state() (live, all int) { return t.Len() }

func exec(path string) *skepv1.Exec {
	return &skepv1.Exec{File: &skepv1.File{Path: path}, Args: []string{path}}
}

// wantLen checks how many entries are live and remembered.
func wantLen(t *testing.T, table *Table, live, all int) {
	t.Helper()
	if l, a := table.state(); l != live || a != all {
		t.Errorf("%d live of %d, want %d of %d", l, a, live, all)
	}
}

func TestLife(t *testing.T) {
	table, _ := newTable(10)
	shell := proc(1, 10, 20, abi.ExecID{})
	table.Exec(shell, "sh", exec("/bin/sh"))
	child := proc(2, 30, 30, shell.ID)
	forked := table.Fork(child, "sh")
	if forked.Exe != "/bin/sh" || forked.ParentExecId != "1111111122222222-1-10-20" || forked.ProcessId != "1111111122222222-2-30" ||
		forked.ExecId != "1111111122222222-2-30-30" || forked.Ppid != 1 || forked.Pid != 2 {
		t.Errorf("fork: %v", forked)
	}
	first := table.Exec(proc(2, 30, 40, shell.ID), "env", exec("/usr/bin/env"))
	second := table.Exec(proc(2, 30, 50, shell.ID), "cat", exec("/bin/cat"))
	if first.ProcessId != second.ProcessId || first.ExecId == second.ExecId || second.Exe != "/bin/cat" || second.Comm != "cat" {
		t.Errorf("execs: %v, %v", first, second)
	}
	wantLen(t, table, 2, 4)
	gone := table.Exit(proc(2, 30, 50, shell.ID), "cat", 60, &skepv1.Exit{Code: 3})
	if gone != second {
		t.Errorf("exit of %v", gone)
	}
	wantLen(t, table, 1, 4)
	if again := table.Exit(proc(2, 30, 50, shell.ID), "cat", 61, &skepv1.Exit{}); again != nil {
		t.Errorf("exit told twice: %v", again)
	}
	info, ok := View{table, zero{}}.Get(gone.ProcessId, 0)
	if !ok || info.Process.Exit.GetCode() != 3 || info.Process.Exited.GetNanos() != 60 || len(info.Ancestors) != 1 {
		t.Errorf("info: %v", info)
	}
}

// TestSecondLastThread: its record may lack the time of the exec, and come when nothing
// but the exited image is remembered.
func TestSecondLastThread(t *testing.T) {
	table, _ := newTable(1)
	table.Fork(proc(2, 30, 30, abi.ExecID{}), "sh")
	table.Exec(proc(2, 30, 40, abi.ExecID{}), "cat", exec("/bin/cat"))
	if table.Exit(proc(2, 30, 40, abi.ExecID{}), "cat", 60, &skepv1.Exit{}) == nil {
		t.Error("no exit")
	}
	if p := table.Exit(proc(2, 30, 0, abi.ExecID{}), "cat", 60, &skepv1.Exit{}); p != nil {
		t.Errorf("second exit: %v", p)
	}
	wantLen(t, table, 0, 1)
}

// TestNoKernelRecord: the kernel's table was full, so it does not know of the exec.
func TestNoKernelRecord(t *testing.T) {
	table, _ := newTable(10)
	table.Fork(proc(2, 30, 30, abi.ExecID{}), "sh")
	image := table.Exec(proc(2, 30, 40, abi.ExecID{}), "cat", exec("/bin/cat"))
	child := table.Fork(proc(3, 50, 50, abi.ExecID{Tgid: 2, StartNS: 30}), "cat")
	if child.ParentExecId != image.ExecId || child.Exe != "/bin/cat" {
		t.Errorf("child: %v", child)
	}
	unknown := abi.ExecID{Tgid: 2, StartNS: 30}
	if got := table.Process(unknown); got != image {
		t.Errorf("what it did while it lived is told of %v", got)
	}
	if gone := table.Exit(proc(2, 30, 0, abi.ExecID{}), "cat", 60, &skepv1.Exit{}); gone != image {
		t.Errorf("exit: %v", gone)
	}
	// Its last descriptors are closed after its end is told, and its record is gone.
	if got := table.Process(unknown); got != image {
		t.Errorf("what it did when it ended is told of %v", got)
	}
	wantLen(t, table, 1, 3)
}

// TestUnknownImage: neither side knows the time of the last exec.
func TestUnknownImage(t *testing.T) {
	table, _ := newTable(10)
	if p := table.Process(abi.ExecID{Tgid: 2, StartNS: 30}); p.ExecId != "1111111122222222-2-30-30" {
		t.Errorf("exec id %s", p.ExecId)
	}
	child := table.Fork(proc(3, 50, 50, abi.ExecID{Tgid: 2, StartNS: 30}), "x")
	gone := table.Exit(proc(2, 30, 0, abi.ExecID{}), "sh", 60, &skepv1.Exit{})
	if gone == nil || gone.ExecId != "1111111122222222-2-30-30" || child.ParentExecId != gone.ExecId {
		t.Errorf("child %v of %v", child, gone)
	}
	if again := table.Exit(proc(2, 30, 0, abi.ExecID{}), "sh", 60, &skepv1.Exit{}); again != nil {
		t.Errorf("exit told twice: %v", again)
	}
	wantLen(t, table, 1, 2)
}

// TestEndingParent: the kernel side had forgotten the parent, which was ending, when the child exec'd.
func TestEndingParent(t *testing.T) {
	table, _ := newTable(10)
	table.Fork(proc(2, 30, 30, abi.ExecID{}), "sh")
	image := table.Exec(proc(2, 30, 40, abi.ExecID{}), "cat", exec("/bin/cat"))
	table.Exit(proc(2, 30, 40, abi.ExecID{}), "cat", 60, &skepv1.Exit{})
	child := table.Exec(proc(3, 50, 70, abi.ExecID{Tgid: 2, StartNS: 30}), "x", exec("/x"))
	if child.ParentExecId != image.ExecId {
		t.Errorf("parent is %s, want %s", child.ParentExecId, image.ExecId)
	}
}

func TestExitOfUnknown(t *testing.T) {
	table, _ := newTable(10)
	p := table.Exit(proc(9, 1, 2, abi.ExecID{}), "lost", 5, &skepv1.Exit{})
	if p == nil || p.Comm != "lost" || p.ExecId != "1111111122222222-9-1-2" {
		t.Errorf("exit: %v", p)
	}
	wantLen(t, table, 0, 1)
}

// TestPidReuse: the exit of the first was not seen.
func TestPidReuse(t *testing.T) {
	table, _ := newTable(10)
	old := table.Fork(proc(5, 10, 10, abi.ExecID{}), "old")
	now := table.Fork(proc(5, 20, 20, abi.ExecID{}), "new")
	if old.ProcessId == now.ProcessId || table.Process(abi.ExecID{Tgid: 5, StartNS: 20, ExecNS: 20}) != now {
		t.Errorf("%v, %v", old, now)
	}
	if table.Process(abi.ExecID{Tgid: 5, StartNS: 10, ExecNS: 10}) != old {
		t.Error("the first is forgotten")
	}
	if p := table.Exit(proc(5, 20, 20, abi.ExecID{}), "", 30, &skepv1.Exit{}); p != now {
		t.Errorf("exit of %v", p)
	}
	wantLen(t, table, 0, 2)
}

func TestEviction(t *testing.T) {
	const keep = 3
	table, _ := newTable(keep)
	parent := proc(1, 1, 1, abi.ExecID{})
	table.Fork(parent, "parent")
	table.Fork(proc(2, 2, 2, parent.ID), "child")
	table.Exit(parent, "", 3, &skepv1.Exit{})
	for i := uint32(10); i < 30; i++ {
		p := proc(i, uint64(i), uint64(i), abi.ExecID{})
		table.Fork(p, "short")
		table.Exit(p, "", 40, &skepv1.Exit{})
	}
	wantLen(t, table, 1, 1+1+keep) // the child, its dead parent, and the bound
	info, ok := View{table, zero{}}.Get("", 2)
	if !ok || len(info.Ancestors) != 1 || info.Ancestors[0].Process.Comm != "parent" {
		t.Errorf("the dead parent is gone: %v", info)
	}
	table.Exit(proc(2, 2, 2, parent.ID), "", 50, &skepv1.Exit{})
	wantLen(t, table, 0, keep)
}

// TestGenerations: each generation ends once it has a child. What is remembered does not grow.
func TestGenerations(t *testing.T) {
	table, _ := newTable(4)
	parent := abi.ExecID{}
	for i := uint64(1); i < 1000; i++ {
		p := proc(uint32(i), i, i, parent)
		table.Fork(p, "walker")
		if parent.Tgid != 0 {
			table.Exit(&abi.Process{ID: parent}, "", i, &skepv1.Exit{})
		}
		parent = p.ID
	}
	if live, all := table.state(); live != 1 || all > 7 {
		t.Errorf("%d live of %d", live, all)
	}
}

func TestKeepNothing(t *testing.T) {
	table, _ := newTable(0)
	p := proc(1, 1, 1, abi.ExecID{})
	table.Fork(p, "a")
	table.Fork(p, "a")
	table.Exec(proc(1, 1, 2, abi.ExecID{}), "b", exec("/b"))
	table.Exit(proc(1, 1, 2, abi.ExecID{}), "b", 3, &skepv1.Exit{})
	wantLen(t, table, 0, 0)
}

// TestScanFirst: a scan saw what the ring tells only later.
func TestScanFirst(t *testing.T) {
	table, _ := newTable(2)
	parent := proc(1, 1, 1, abi.ExecID{})
	child := proc(4000001, 5, 9, parent.ID) // no such pid: /proc knows nothing
	scan := []abi.Process{*parent, *child}
	if added, retired := table.Existing(scan, 100); added != 2 || retired != 0 {
		t.Errorf("added %d, retired %d", added, retired)
	}
	table.Fork(proc(4000001, 5, 5, parent.ID), "sh")
	image := table.Exec(child, "cat", exec("/bin/cat"))
	if added, _ := table.Existing(scan, 100); added != 0 || table.Process(child.ID) != image {
		t.Errorf("the scan replaced %d", added)
	}
	if table.Exit(child, "cat", 20, &skepv1.Exit{}) != image {
		t.Error("no exit")
	}
	if added, _ := table.Existing(scan, 100); added != 0 { // an old scan, behind the exit
		t.Error("the dead live again")
	}
	table.Exit(parent, "", 30, &skepv1.Exit{})
	for i := uint32(10); i < 20; i++ {
		p := proc(i, uint64(i), uint64(i), abi.ExecID{})
		table.Fork(p, "")
		table.Exit(p, "", 40, &skepv1.Exit{})
	}
	wantLen(t, table, 0, 2) // the parent's children were counted once
}

// TestScanMissed: a scan came between a process's end and the record of it.
func TestScanMissed(t *testing.T) {
	table, _ := newTable(10)
	p := proc(7, 5, 5, abi.ExecID{})
	forked := table.Fork(p, "x")
	if _, retired := table.Existing(nil, 100); retired != 1 {
		t.Errorf("retired %d", retired)
	}
	if table.Exit(p, "x", 50, &skepv1.Exit{Code: 2}) != forked {
		t.Error("the exit is not told")
	}
	if table.Exit(p, "x", 50, &skepv1.Exit{Code: 2}) != nil {
		t.Error("the exit is told twice")
	}
	if young := proc(8, 200, 200, abi.ExecID{}); table.Fork(young, "y") == nil {
		t.Error("no fork")
	}
	if _, retired := table.Existing(nil, 100); retired != 0 {
		t.Error("a process younger than the scan was retired")
	}
}

func TestMove(t *testing.T) {
	table, where := newTable(10)
	box := &skepv1.Container{Id: "box"}
	where[5] = Place{Container: box, Cgroup: "/box"}
	p := proc(1, 1, 2, abi.ExecID{})
	table.Fork(proc(1, 1, 1, abi.ExecID{}), "a")
	before := table.Exec(p, "a", exec("/a"))
	table.Move(abi.ExecID{Tgid: 1, StartNS: 1}, 5, 3) // the kernel does not know the exec
	after := table.Process(p.ID)
	if before.Container != nil || after.Container != box || after.ExecId != before.ExecId || after.Exe != "/a" {
		t.Errorf("%v, then %v", before, after)
	}
	named := &skepv1.Container{Id: "box", Name: "web"}
	where[5] = Place{Container: named, Unit: "x.service"}
	table.Refresh()
	if got := table.Process(p.ID); got.Container != named || got.Unit != "x.service" || after.Container != box {
		t.Errorf("refreshed: %v; before: %v", got, after)
	}
	table.Move(abi.ExecID{Tgid: 99}, 5, 3)
}

func TestEnteredContainer(t *testing.T) {
	table, where := newTable(100)
	where[5] = Place{Container: &skepv1.Container{Id: "box"}}
	shim := proc(1, 1, 1, abi.ExecID{})
	table.Exec(shim, "shim", exec("/shim"))
	run := func(tgid uint32, start, at uint64, parent abi.ExecID, nsPid uint32) bool {
		p := proc(tgid, start, at, parent)
		p.CgroupID = 5
		body := exec("/x")
		body.NsPid = nsPid
		table.Exec(p, "x", body)
		return body.EnteredContainer
	}
	fork := func(tgid uint32, start uint64, parent abi.ExecID) {
		p := proc(tgid, start, start, parent)
		p.CgroupID = 5
		table.Fork(p, "x")
	}
	id := func(tgid uint32, start, at uint64) abi.ExecID {
		return abi.ExecID{Tgid: tgid, StartNS: start, ExecNS: at}
	}
	check := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: entered is %t", what, got)
		}
	}
	check("the first", run(10, 10, 11, shim.ID, 0), false)
	check("the first, again", run(10, 10, 12, shim.ID, 0), false)
	fork(11, 20, id(10, 10, 12))
	check("its child", run(11, 20, 21, id(10, 10, 12), 0), false)
	fork(12, 22, id(10, 10, 12))
	check("its child, orphaned", run(12, 22, 23, shim.ID, 0), false)
	check("its child, orphaned, again", run(12, 22, 24, shim.ID, 0), false)
	fork(13, 30, shim.ID)
	check("from outside", run(13, 30, 31, shim.ID, 0), true)
	check("from outside, again", run(13, 30, 32, shim.ID, 0), true)
	fork(14, 40, id(13, 30, 32))
	check("child of that", run(14, 40, 41, id(13, 30, 32), 0), false)
	check("init of a pid namespace", run(15, 50, 51, shim.ID, 1), false)
	table.ForgetContainer("box") // a cgroup inside it went: processes live
	check("after a cgroup inside went", run(16, 60, 61, shim.ID, 0), true)
	for _, tgid := range []uint32{10, 11, 12, 13, 14, 15, 16} {
		e := table.live(tgid)
		table.Exit(&abi.Process{ID: e.id}, "", 70, &skepv1.Exit{})
	}
	table.ForgetContainer("box")
	check("the first of a new one", run(20, 80, 81, shim.ID, 0), false)
}

// TestEnteredAfterScan: the container was there before the agent.
func TestEnteredAfterScan(t *testing.T) {
	table, where := newTable(10)
	where[5] = Place{Container: &skepv1.Container{Id: "box"}}
	shim, first, second := proc(4000001, 1, 1, abi.ExecID{}), proc(4000002, 10, 10, abi.ExecID{}), proc(4000003, 20, 20, abi.ExecID{})
	first.Parent, second.Parent, first.CgroupID, second.CgroupID = shim.ID, first.ID, 5, 5
	table.Existing([]abi.Process{*second, *first, *shim}, 100)
	body := exec("/x")
	again := proc(4000002, 10, 30, shim.ID)
	again.CgroupID = 5
	if table.Exec(again, "x", body); body.EnteredContainer {
		t.Error("the first process has entered")
	}
	other := proc(4000004, 40, 41, shim.ID)
	other.CgroupID = 5
	if table.Exec(other, "x", body); !body.EnteredContainer {
		t.Error("one from outside has not entered")
	}
}

func TestView(t *testing.T) {
	table, _ := newTable(10)
	parent := proc(1, 1, 2, abi.ExecID{})
	table.Exec(parent, "sh", exec("/bin/sh"))
	table.Fork(proc(2, 5, 5, parent.ID), "sh")
	table.Exec(proc(2, 5, 6, parent.ID), "cat", exec("/bin/cat"))
	table.Fork(proc(3, 3, 3, parent.ID), "sh")
	table.Exit(proc(3, 3, 3, parent.ID), "sh", 4, &skepv1.Exit{})
	view := View{table, zero{}}
	pids := func(list []*skepv1.ProcessInfo) (all []uint32) {
		for _, p := range list {
			all = append(all, p.Process.Pid)
		}
		return all
	}
	if got := pids(view.List(false)); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("live: %v", got)
	}
	if got := pids(view.List(true)); !slices.Equal(got, []uint32{1, 3, 2}) {
		t.Errorf("all: %v", got)
	}
	r, ok := view.Get("", 1)
	if !ok || !slices.Equal(pids(r.Children), []uint32{3, 2}) {
		t.Errorf("children: %v", r)
	}
	if info, ok := view.Get("1111111122222222-2-5-5", 0); !ok || info.Process.Process.Exe != "/bin/sh" {
		t.Errorf("superseded image: %v", info)
	}
	if _, ok := view.Get("", 3); ok {
		t.Error("an exited pid is found")
	}
	var ancestors []string
	view.Ancestors("1111111122222222-2-5-6", func(p *skepv1.Process) bool { ancestors = append(ancestors, p.Comm); return true })
	if !slices.Equal(ancestors, []string{"sh"}) {
		t.Errorf("ancestors: %v", ancestors)
	}
}
