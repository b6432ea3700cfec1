// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

func TestParse(t *testing.T) {
	names := NewNames(testNode)
	id := abi.ExecID{Tgid: 4294967295, StartNS: 18446744073709551615, ExecNS: 7}
	if got, whole, ok := names.Parse(names.Exec(id)); got != id || !whole || !ok {
		t.Errorf("exec id: %v %t %t", got, whole, ok)
	}
	want := id
	want.ExecNS = 0
	if got, whole, ok := names.Parse(names.Process(id)); got != want || whole || !ok {
		t.Errorf("process id: %v %t %t", got, whole, ok)
	}
	for _, bad := range []string{"", "-", "1111111122222222", "1111111122222222-1", "1111111122222222-1-2-3-4", "0000000022222222-1-2",
		"1111111122222222-4294967296-1", "1111111122222222--1", "1111111122222222-1-x", "1111111122222222-1-2-", "1111111122222222-+1-2"} {
		if _, _, ok := names.Parse(bad); ok {
			t.Errorf("%q is an id", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	names := NewNames(testNode)
	f.Add(names.Exec(abi.ExecID{Tgid: 1, StartNS: 2, ExecNS: 3}))
	f.Add("1111111122222222-1-2")
	f.Fuzz(func(t *testing.T, s string) {
		id, whole, ok := names.Parse(s)
		if !ok {
			return
		}
		again := names.Process(id)
		if whole {
			again = names.Exec(id)
		}
		// Leading zeros mean the same number.
		if reread, _, ok := names.Parse(again); !ok || reread != id || len(again) > len(s) {
			t.Errorf("%q is %v, which is %q", s, id, again)
		}
	})
}

// FuzzTable: no order of events breaks what the table holds together.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 0, 0, 2, 1, 1, 3, 2, 2, 4, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		const keep = 4
		table, where := newTable(keep)
		where[1] = Place{}
		script = script[:min(len(script), 300)]
		for len(script) >= 3 {
			op, pid, at := script[0], uint32(script[1]%8)+1, uint64(script[2]%16)
			script = script[3:]
			step(table, op, pid, at)
			checkTable(t, table, keep)
		}
	})
}

func step(table *Table, op byte, pid uint32, at uint64) {
	p := proc(pid, at/4, at, abi.ExecID{Tgid: pid/2 + 1, StartNS: at / 5, ExecNS: at / 3})
	switch op % 6 {
	case 0:
		table.Fork(p, "f")
	case 1:
		table.Exec(p, "e", exec("/e"))
	case 2, 3:
		table.Exit(p, "x", at, nil)
	case 4:
		table.Move(p.ID, at, 10)
	case 5:
		table.Existing([]abi.Process{{ID: abi.ExecID{Tgid: pid + 4000000, StartNS: at / 4, ExecNS: at}}}, at)
	}
}

func checkTable(t *testing.T, table *Table, keep int) {
	t.Helper()
	children := map[*entry]int{}
	living := 0
	for e := range table.allLive {
		living++
		if table.entries[e.id] != e {
			t.Fatalf("live entry %v: %+v", e.id, e)
		}
		if e.up != nil {
			children[e.up]++
		}
	}
	for id, e := range table.entries {
		if e.id != id || e.children != children[e] || e.dead == (table.live(id.Tgid) == e) || e.dead && !e.queued && e.children == 0 {
			t.Fatalf("entry %v with %d children: %+v", id, children[e], e)
		}
	}
	size := 0
	for _, e := range table.dead {
		size += e.size
	}
	if size != table.deadBytes {
		t.Fatalf("the dead take %d bytes, counted are %d", size, table.deadBytes)
	}
	for pid, e := range table.latest {
		if e.id.Tgid != pid || table.entries[e.id] != e {
			t.Fatalf("latest image of %d: %+v", pid, e)
		}
	}
	if living != table.living || len(table.dead) > keep || len(table.entries) > 2*living+keep {
		t.Fatalf("%d dead, %d entries of which %d live, %d are counted", len(table.dead), len(table.entries), living, table.living)
	}
}

// self is the id of this test, but for its exec time: good to a clock tick.
func self(t *testing.T) abi.ExecID {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	for ticks := uint64(now.Nano()) / 1e7; ticks > 0; ticks-- {
		if startedAt("/proc/self/", ticks*1e7) {
			return abi.ExecID{Tgid: uint32(os.Getpid()), StartNS: ticks * 1e7}
		}
	}
	t.Fatal("/proc agrees with no start time")
	return abi.ExecID{}
}

// TestFillFromProc: names come from /proc only while it shows the image that was exec'd.
func TestFillFromProc(t *testing.T) {
	found, _ := readProc(self(t), nil)
	for _, c := range []struct {
		name  string
		id    abi.ExecID
		inode uint64
		fills bool
	}{
		{"this image", self(t), found.File.Inode, true},
		{"another image", self(t), found.File.Inode + 1, false},
		{"another process", abi.ExecID{Tgid: self(t).Tgid, StartNS: self(t).StartNS + 5e9}, found.File.Inode, false},
	} {
		body := &skepv1.Exec{File: &skepv1.File{Inode: c.inode, Device: "kernel's"}, Args: []string{"kernel's"}, Namespaces: &skepv1.Namespaces{}}
		FillFromProc(c.id, body)
		f := body.File
		if filled := f.Path == found.File.Path && f.PathSource == "proc" && body.Cwd == found.Cwd; filled != c.fills {
			t.Errorf("%s: %v", c.name, body)
		}
		if f.Inode != c.inode || f.Device != "kernel's" || body.Args[0] != "kernel's" {
			t.Errorf("%s: what the kernel said is replaced: %v", c.name, body)
		}
	}
}

// TestExistingSelf: what /proc says of this test is what it says of itself.
func TestExistingSelf(t *testing.T) {
	id := self(t)
	body, comm := readProc(id, nil)
	if body == nil || comm == "" {
		t.Fatalf("nothing of process %d", id.Tgid)
	}
	exe, _ := os.Executable()
	if body.File.Path != exe || strings.Join(body.Args, " ") != strings.Join(os.Args, " ") || body.Unlinked || body.NsPid == 0 ||
		body.Credentials.Euid != uint32(os.Geteuid()) || body.Namespaces.Pid == 0 || body.Capabilities.Bounding == "" {
		t.Errorf("self: %v", body)
	}
	var stat unix.Stat_t
	if err := unix.Stat(exe, &stat); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev)); body.File.Inode != stat.Ino || body.File.Device != want {
		t.Errorf("executable is %v, want inode %d of %s", body.File, stat.Ino, want)
	}
	if other, comm := readProc(abi.ExecID{Tgid: id.Tgid, StartNS: id.StartNS + 5e9}, nil); other != nil || comm != "" {
		t.Errorf("another process of that pid: %v", other)
	}
}

func BenchmarkTable(b *testing.B) {
	table, _ := newTable(4096)
	parent := proc(1, 1, 1, abi.ExecID{})
	table.Fork(parent, "p")
	b.ReportAllocs()
	for i := uint64(2); b.Loop(); i++ {
		pid := uint32(i % 30000)
		table.Fork(proc(pid+2, i, i, parent.ID), "child")
		e := proc(pid+2, i, i+1, parent.ID)
		table.Exec(e, "x", exec("/x"))
		table.Exit(e, "x", i+2, nil)
	}
}
