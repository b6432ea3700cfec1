// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern/executable"
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

//go:noinline
func probedA() { runtime.KeepAlive(1) }

//go:noinline
func probedB() { runtime.KeepAlive(2) }

// ownFunctions are where in this test's executable its functions to probe are.
func ownFunctions(t *testing.T) []uint64 {
	t.Helper()
	f, err := executable.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var offsets []uint64
	for _, fn := range []func(){probedA, probedB} {
		offset, mapped := f.Offset(uint64(reflect.ValueOf(fn).Pointer())) // where it is linked: not PIE
		if !mapped {
			t.Skip("needs fixed addresses: this test was linked to be moved")
		}
		offsets = append(offsets, offset)
	}
	return offsets
}

func TestUprobes(t *testing.T) {
	offsets := ownFunctions(t)
	a, b := Place{Name: "a", Path: "/proc/self/exe", Offset: offsets[0]}, Place{Name: "b", Path: "/proc/self/exe", Offset: offsets[1]}
	provoke := func() {
		for range provoked {
			probedA()
			probedB()
			probedB()
		}
	}
	ofProcess := a
	ofProcess.PID = os.Getpid()
	ofOther := a
	ofOther.PID = os.Getppid()
	for _, c := range []struct {
		name   string
		places []Place
		want   uint64
	}{
		{"one", []Place{a}, provoked},
		{"two in one link", []Place{a, b}, 3 * provoked},
		{"of this process", []Place{ofProcess}, provoked},
		{"of another process", []Place{ofOther}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := attachGroup(t, Uprobe, false, c.places...)
			provoke()
			if n := g.runs(t); n != c.want {
				t.Errorf("%d runs, want %d", n, c.want)
			}
			detached(t, g, provoke)
		})
	}
}

// TestUretprobe runs in a program in C: the stack of Go's may move under a return probe.
func TestUretprobe(t *testing.T) {
	path, err := executable.Find("libc", 0)
	if err != nil {
		t.Skipf("needs a libc: %v", err)
	}
	f, err := executable.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	symbol, _ := f.Symbol("getppid")
	offset, ok := f.Offset(symbol.Address)
	if !ok {
		t.Skip("needs getppid in libc")
	}
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skipf("needs perl: %v", err)
	}
	g := attachGroup(t, Uretprobe, false, Place{Name: "r", Path: path, Offset: offset})
	before := g.runs(t)
	if out, err := exec.Command(perl, "-e", "for (1..37) { $x = getppid(); }").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := g.runs(t) - before; n < provoked {
		t.Errorf("%d runs", n)
	}
}

func TestSoftware(t *testing.T) {
	g := attachGroup(t, SoftwareEvent, true, Place{Name: "s", Event: "page-faults", Period: 1})
	before := g.runs(t)
	fault(t, provoked)
	if n := g.runs(t) - before; n < provoked || n > 10*provoked {
		t.Errorf("%d faults of %d pages", n, provoked)
	}
}

// TestClocks: as many runs as periods in the time that passed, on one CPU or on all.
func TestClocks(t *testing.T) {
	cpus, err := onlineCPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		hook Hook
		on   int
	}{{"every", Every, 1}, {"clock", Clock, len(cpus)}} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			g := attachGroup(t, c.hook, false, Place{Name: "c", Period: 2_000_000})
			time.Sleep(200 * time.Millisecond)
			if err := g.Detach(); err != nil {
				t.Fatal(err)
			}
			n, most := int(g.runs(t)), c.on*int(time.Since(start)/(2*time.Millisecond)+1)
			if n > most || n < c.on*20 { // an emulator leaves some out
				t.Errorf("%d runs in %v", n, time.Since(start))
			}
		})
	}
}

var watched uint64

// write writes to the variable that is watched.
func write() {
	for range provoked {
		watched++
	}
}

// TestBreakpoint: the program runs at each write to a variable, where a counter of the same
// event counts anything.
func TestBreakpoint(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	needRoot(t)
	place := Place{Name: "w", Address: addressOf(&watched), Length: 8, Access: "w", PID: unix.Gettid()}
	if n := counted(t, place); n != provoked {
		t.Skipf("needs debug registers: the kernel takes a breakpoint, but of %d writes this machine stops at %d", provoked, n)
	}
	g := attachGroup(t, Breakpoint, false, place)
	write()
	if n := g.runs(t); n != provoked {
		t.Errorf("%d runs", n)
	}
}

// counted is how many writes the kernel counts without a program.
func counted(t *testing.T, place Place) uint64 {
	t.Helper()
	attr, err := eventOf(Breakpoint, place)
	if err != nil {
		t.Fatal(err)
	}
	attr.Sample = 0
	counter, err := unix.PerfEventOpen(&attr, place.PID, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Skipf("needs debug registers: %v", err)
	}
	defer unix.Close(counter)
	write()
	count := make([]byte, 8)
	if _, err := unix.Read(counter, count); err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(count)
}

func TestIterator(t *testing.T) {
	g := attachGroup(t, Iterator, false, Place{Name: "iter:task", Event: "task"})
	if _, err := g.Iterate(0); err != nil {
		t.Fatal(err)
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range processes {
		if p.Name()[0] >= '0' && p.Name()[0] <= '9' {
			n++
		}
	}
	if got := g.runs(t); got < uint64(n)/2 {
		t.Errorf("%d runs over %d processes", got, n)
	}
}

// TestFunctions runs where the kernel lets its functions be probed.
func TestFunctions(t *testing.T) {
	place := Place{Name: "f", Function: "__x64_sys_getsid"}
	if runtime.GOARCH == "arm64" {
		place.Function = "__arm64_sys_getsid"
	}
	for name, hook := range map[string]Hook{"fentry": Fentry, "fexit": Fexit, "kprobe": Kprobe, "kretprobe": Kretprobe} {
		t.Run(name, func(t *testing.T) {
			needRoot(t)
			spec := GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{Name: "test", Hook: hook, Instructions: counting(true), Places: []Place{place}}}}
			g, err := LoadGroup(spec, nil)
			if err != nil {
				t.Skipf("needs the hook: %v", err)
			}
			defer g.Close()
			if _, err := g.Attach(); err != nil {
				t.Skipf("needs the hook: %v", err)
			}
			getuids()
			if n := g.runs(t); n != provoked {
				t.Errorf("%d runs", n)
			}
			detached(t, g, getuids)
		})
	}
}

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
