// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern/executable"
)

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
