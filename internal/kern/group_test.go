// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// counting counts its runs in this process; everywhere if own is false.
func counting(own bool) asm.Instructions {
	var code asm.Instructions
	if own {
		code = append(code,
			asm.FnGetCurrentPidTgid.Call(),
			asm.RSh.Imm(asm.R0, 32),
			asm.JNE.Imm(asm.R0, int32(os.Getpid()), "out"))
	}
	return append(code,
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, 0).WithReference("runs"),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	)
}

var runsMap = GroupMap{Name: "runs", Type: ArrayMap, KeySize: 4, ValueSize: 8, MaxEntries: 1}

func (g *Group) runs(t *testing.T) uint64 {
	t.Helper()
	values, err := g.Lookup("runs", make([]byte, 4))
	if err != nil || len(values) != 1 {
		t.Fatalf("%d values: %v", len(values), err)
	}
	return binary.NativeEndian.Uint64(values[0])
}

// attachGroup loads and attaches one counting program.
func attachGroup(t *testing.T, hook Hook, own bool, places ...Place) *Group {
	t.Helper()
	needRoot(t)
	spec := GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{Name: "test", Hook: hook, Instructions: counting(own), Places: places}}}
	g, err := LoadGroup(spec, nil)
	if errors.Is(err, ErrForbidden) {
		t.Skipf("needs the hook: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := g.Attach(); err != nil {
		t.Fatal(err)
	}
	return g
}

// detached checks that nothing runs any more once the group is detached.
func detached(t *testing.T, g *Group, provoke func()) {
	t.Helper()
	if err := g.Detach(); err != nil {
		t.Error(err)
	}
	before := g.runs(t)
	provoke()
	if after := g.runs(t); after != before {
		t.Errorf("%d runs after it was detached", after-before)
	}
}

const provoked = 37

// getuids makes system calls that nothing else in this process makes.
func getuids() {
	for range provoked {
		unix.Syscall(unix.SYS_GETSID, 0, 0, 0)
	}
}

func TestOnDemand(t *testing.T) {
	g := attachGroup(t, OnDemand, true, Place{Name: "begin"})
	for range 3 {
		if err := g.Run(0); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.runs(t); n != 3 {
		t.Errorf("%d runs", n)
	}
	if err := g.Run(1); err == nil {
		t.Error("ran a program that is not there")
	}
}

func TestTracepoint(t *testing.T) {
	g := attachGroup(t, Tracepoint, true, Place{Name: "t", Category: "syscalls", Event: "sys_enter_getsid", Cookie: 7},
		Place{Name: "t", Category: "syscalls", Event: "sys_exit_getsid", Cookie: 8})
	getuids()
	if n := g.runs(t); n != 2*provoked {
		t.Errorf("%d runs", n)
	}
	detached(t, g, getuids)
}

// TestCookie: a program reads which of its places it runs at.
func TestCookie(t *testing.T) {
	needRoot(t)
	if !NewFeatures(nil).Helper(int64(asm.FnGetAttachCookie), Tracepoint) {
		t.Skip("needs bpf_get_attach_cookie (5.15)")
	}
	code := asm.Instructions{
		asm.FnGetAttachCookie.Call(),
		asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord),
		asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -16),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 0),
		asm.LoadMapPtr(asm.R1, 0).WithReference("cookies"),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	self := ownFunctions(t)
	for _, c := range []struct {
		name   string
		hook   Hook
		places []Place
	}{
		{"tracepoint", Tracepoint, []Place{{Category: "syscalls", Event: "sys_enter_getsid", Cookie: 11}, {Category: "syscalls", Event: "sys_exit_getsid", Cookie: 12}}},
		{"uprobes in one link", Uprobe, []Place{{Path: "/proc/self/exe", Offset: self[0], Cookie: 11}, {Path: "/proc/self/exe", Offset: self[1], Cookie: 12}}},
		{"software", SoftwareEvent, []Place{{Event: "page-faults", Period: 1, Cookie: 11}, {Event: "minor-faults", Period: 1, Cookie: 12}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := LoadGroup(GroupSpec{
				Maps:     []GroupMap{{Name: "cookies", Type: HashMap, KeySize: 8, ValueSize: 8, MaxEntries: 16}},
				Programs: []GroupProgram{{Name: "test", Hook: c.hook, Instructions: code, Places: c.places}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if _, err := g.Attach(); err != nil {
				t.Fatal(err)
			}
			getuids()
			probedA()
			probedB()
			fault(t, 1)
			got := map[uint64]bool{}
			if err := g.Each("cookies", func(key []byte, values [][]byte) { got[binary.NativeEndian.Uint64(key)] = true }); err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 || !got[11] || !got[12] {
				t.Errorf("cookies %v", got)
			}
		})
	}
}

// fault makes pages of memory appear, one fault each.
func fault(t *testing.T, pages int) {
	t.Helper()
	size := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	if err := unix.Madvise(memory, unix.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	for i := range pages {
		memory[i*size] = 1
	}
}

func TestRawTracepoint(t *testing.T) {
	g := attachGroup(t, RawTracepoint, true, Place{Name: "rawtracepoint:sys_enter", Event: "sys_enter"})
	before := g.runs(t)
	getuids()
	// Other threads of this process make calls too.
	if n := g.runs(t) - before; n < provoked {
		t.Errorf("%d runs", n)
	}
}
