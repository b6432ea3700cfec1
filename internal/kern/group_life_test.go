// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// TestUndo: of a group of which one program cannot be attached nothing stays attached, and
// of a program with several places those that exist are.
func TestUndo(t *testing.T) {
	needRoot(t)
	there := Place{Name: "there", Category: "syscalls", Event: "sys_enter_getsid"}
	missing := Place{Name: "tracepoint:syscalls:missing", Category: "syscalls", Event: "missing"}
	program := func(places ...Place) GroupProgram {
		return GroupProgram{Name: "test", Hook: Tracepoint, Instructions: counting(true), Places: places}
	}
	g, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{program(there), program(missing)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Attach(); err == nil || !strings.Contains(err.Error(), missing.Name) {
		t.Errorf("attached: %v", err)
	}
	getuids()
	if n := g.runs(t); n != 0 {
		t.Errorf("%d runs of what should have been undone", n)
	}
	some, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{program(missing, there)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer some.Close()
	skipped, err := some.Attach()
	if err != nil || len(skipped) != 1 || !errors.Is(skipped[0].Err, os.ErrNotExist) || len(some.Attached(0)) != 1 {
		t.Errorf("skipped %v, attached %v: %v", skipped, some.Attached(0), err)
	}
	getuids()
	if n := some.runs(t); n != provoked {
		t.Errorf("%d runs", n)
	}
}

// TestRefused: the verifier's words name the instruction.
func TestRefused(t *testing.T) {
	needRoot(t)
	code := asm.Instructions{
		asm.LoadImm(asm.R2, 1<<40, asm.DWord), // two slots
		asm.Mov.Reg(asm.R0, asm.R5),           // never written
		asm.Return(),
	}
	_, err := LoadGroup(GroupSpec{Programs: []GroupProgram{{Name: "good", Hook: OnDemand, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, Places: []Place{{}}},
		{Name: "bad", Hook: OnDemand, Instructions: code, Places: []Place{{}}}}}, nil)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Program != 1 || refused.Instruction != 2 || !strings.Contains(refused.Verdict, "R5 !read_ok") {
		t.Errorf("got %+v: %v", refused, err)
	}
}

// TestEvents: what a kernel or a machine lacks is refused with a reason.
func TestEvents(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		hook  Hook
		place Place
		want  string
	}{
		{SoftwareEvent, Place{Name: "s", Event: "no-such", Period: 1}, "no-such"},
		{Breakpoint, Place{Name: "w", Address: 1, Length: 3, Access: "w", PID: os.Getpid()}, "cannot watch 3 bytes"},
		{SoftwareEvent, Place{Name: "s", Event: "page-faults", Period: 1, PID: 1 << 29}, "there is no process"},
		{Uprobe, Place{Name: "u", Path: "/no/such/file", Offset: 1}, "no such file"},
	} {
		g, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{Name: "test", Hook: c.hook, Instructions: counting(true), Places: []Place{c.place}}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Attach(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.place.Name, err)
		}
		g.Close()
	}
}

// TestGroupRing: every record comes, once, in order, from a program run on demand.
func TestGroupRing(t *testing.T) {
	needRoot(t)
	code := asm.Instructions{
		asm.Mov.Imm(asm.R1, 5),
		asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, 0).WithReference("ring"),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, unix.BPF_RB_NO_WAKEUP),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	g, err := LoadGroup(GroupSpec{Maps: []GroupMap{{Name: "ring", Type: RingMap, MaxEntries: 1 << 16}},
		Programs: []GroupProgram{{Name: "test", Hook: OnDemand, Instructions: code, Places: []Place{{}}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ring, err := g.Ring("ring")
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range provoked {
		if err := g.Run(0); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err = ring.Run(ctx, func(record []byte) {
		if n++; n == provoked {
			cancel()
		}
		if binary.NativeEndian.Uint64(record) != 5 {
			t.Errorf("record %v", record)
		}
	}, func() {})
	if err != nil || n != provoked {
		t.Errorf("%d records: %v", n, err)
	}
	if _, err := g.Ring("none"); err == nil {
		t.Error("opened a ring that is not there")
	}
}

// TestGroupMaps: entries are listed, zeroed and cleared, on every CPU.
func TestGroupMaps(t *testing.T) {
	needRoot(t)
	cpus, err := CPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []MapType{HashMap, PerCPUHashMap, LRUHashMap, ArrayMap, PerCPUArrayMap} {
		entries := 64
		if kind == LRUHashMap { // it evicts before it is full
			entries = 4096
		}
		g, err := LoadGroup(GroupSpec{Maps: []GroupMap{{Name: "@m", Type: kind, KeySize: 4, ValueSize: 8, MaxEntries: entries}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		for i := range uint32(64) {
			if err := g.Set("@m", binary.NativeEndian.AppendUint32(nil, i), binary.NativeEndian.AppendUint64(nil, uint64(i)+1)); err != nil {
				t.Fatal(err)
			}
		}
		sum := func() (entries int, total uint64) {
			err := g.Each("@m", func(key []byte, values [][]byte) {
				entries++
				for _, v := range values {
					total += binary.NativeEndian.Uint64(v)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			return entries, total
		}
		want := uint64(64 * 65 / 2)
		if kind == PerCPUHashMap || kind == PerCPUArrayMap {
			want *= uint64(cpus)
		}
		if n, total := sum(); total != want || n != 64 {
			t.Errorf("type %d: %d entries, sum %d, want %d", kind, n, total, want)
		}
		if err := g.Zero("@m"); err != nil {
			t.Error(err)
		}
		if n, total := sum(); total != 0 || n != 64 {
			t.Errorf("type %d zeroed: %d entries, sum %d", kind, n, total)
		}
		if err := g.Clear("@m"); err != nil {
			t.Error(err)
		}
		if n, _ := sum(); n != 0 && kind != ArrayMap && kind != PerCPUArrayMap {
			t.Errorf("type %d cleared: %d entries", kind, n)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]int{"0": 1, "0-3": 4, "0-1,4,6-7": 5, "": 0, "x": 0, "3-1": 0, "0-99999999": 0} {
		if got, err := parseCPUs(text); len(got) != want || (want == 0) != (err != nil) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
