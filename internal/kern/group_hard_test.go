// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern/executable"
	"github.com/skep-io/skep/internal/kern/tracefs"
)

// TestReplacedFile: a program that was replaced since its symbols were read is not probed, at
// whatever is at the same offset in the new one.
func TestReplacedFile(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "program")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := executable.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	place := Place{Name: "u", Path: path, File: f.Identity, Offset: ownFunctions(t)[0]}
	g := attachGroup(t, Uprobe, true, place)
	if err := g.Detach(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.WriteFile(path+".new", self, 0o755), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Attach(); !errors.Is(err, executable.ErrReplaced) {
		t.Errorf("attached to another file: %v", err)
	}
}

// TestThreads: an event of a process is that of all its threads, of those that were there and
// of those that come.
func TestThreads(t *testing.T) {
	needRoot(t)
	start, done := make(chan bool), sync.WaitGroup{}
	faults := func() {
		runtime.LockOSThread() // and not unlocked: the thread ends with the function
		<-start
		fault(t, provoked)
	}
	ready := make(chan bool)
	for range 3 {
		done.Go(func() { runtime.LockOSThread(); ready <- true; faults() })
		<-ready
	}
	g := attachGroup(t, SoftwareEvent, true, Place{Name: "s", Event: "page-faults", Period: 1, PID: os.Getpid()})
	before := g.runs(t)
	for range 2 {
		done.Go(faults)
	}
	close(start)
	done.Wait()
	if n := g.runs(t) - before; n < 5*provoked {
		t.Errorf("%d of %d faults of five threads", n, 5*provoked)
	}
	if err := g.Detach(); err != nil {
		t.Error(err)
	}
	before = g.runs(t)
	done.Go(faults)
	done.Wait()
	if n := g.runs(t) - before; n != 0 {
		t.Errorf("%d runs after it was detached", n)
	}
}

// TestExhausted: where the agent has no descriptors left nothing stays attached, so that it has
// some again.
func TestExhausted(t *testing.T) {
	needRoot(t)
	fs, err := tracefs.Open()
	if err != nil {
		t.Fatal(err)
	}
	events, err := fs.Events()
	if err := errors.Join(err, fs.Close()); err != nil {
		t.Fatal(err)
	}
	places := []Place{{Name: "first", Category: "syscalls", Event: "sys_enter_getsid"}}
	for _, e := range events {
		if e.Category == "syscalls" && e.Name != "sys_enter_getsid" && len(places) < 100 {
			places = append(places, Place{Name: e.Name, Category: e.Category, Event: e.Name})
		}
	}
	g, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{Name: "test", Hook: Tracepoint, Instructions: counting(true), Places: places}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)) + 60, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, err = g.Attach()
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) != nil || !errors.Is(err, unix.EMFILE) {
		t.Errorf("attached with 60 descriptors: %v", err)
	}
	before := g.runs(t) // while it was attached to some
	getuids()
	if n := g.runs(t) - before; n != 0 || len(g.Attached(0)) != 0 {
		t.Errorf("%d runs at %v", n, g.Attached(0))
	}
}

// TestLinger: events that wait to be closed are bounded, all are closed in the end, and none
// while somebody attaches.
func TestLinger(t *testing.T) {
	l := &linger{most: 20}
	var events []descriptor
	for range 100 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, descriptor(fd))
	}
	release := l.hold()
	l.close(slices.Clone(events[:15]))
	open := func(some []descriptor) (n int) {
		for _, e := range some {
			if _, err := unix.FcntlInt(uintptr(e), unix.F_GETFD, 0); err == nil {
				n++
			}
		}
		return n
	}
	if n := open(events[:15]); n != 15 {
		t.Errorf("%d of 15 are open while somebody attaches", n)
	}
	release()
	l.close(slices.Clone(events[15:])) // waits for room
	for deadline := time.Now().Add(20 * time.Second); open(events) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are open", open(events))
		}
	}
}

// needFunctions skips where the kernel does not let its functions be probed.
func needFunctions(t *testing.T) {
	t.Helper()
	needRoot(t)
	if err := NewFeatures(nil).Hook(Kprobe); err != nil {
		t.Skipf("needs kprobes: %v", err)
	}
}

func systemCall(name string) string {
	if runtime.GOARCH == "arm64" {
		return "__arm64_sys_" + name
	}
	return "__x64_sys_" + name
}

// TestManyFunctions: of many functions those that the kernel refuses are skipped, and told;
// the others are probed.
func TestManyFunctions(t *testing.T) {
	needFunctions(t)
	var places []Place
	for i, name := range []string{"getsid", "none", "getpgid", "no_such", "getpriority"} {
		places = append(places, Place{Name: name, Function: systemCall(name), Cookie: uint64(i)})
	}
	g, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{Name: "test", Hook: Kprobe, Instructions: counting(true), Places: places}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	skipped, err := g.Attach()
	var names []string
	for _, s := range skipped {
		names = append(names, s.Place)
	}
	if err != nil || !slices.Equal(names, []string{"none", "no_such"}) || strings.Join(g.Attached(0), " ") != "getsid getpgid getpriority" {
		t.Errorf("skipped %v, attached to %v: %v", skipped, g.Attached(0), err)
	}
	getuids()
	if n := g.runs(t); n != provoked {
		t.Errorf("%d runs", n)
	}
	detached(t, g, getuids)
}

// TestProbeInAnInstruction: where no instruction begins is told as that, whatever else was tried.
func TestProbeInAnInstruction(t *testing.T) {
	needFunctions(t)
	place := Place{Name: "here", Function: systemCall("getsid"), Offset: 1}
	g, err := LoadGroup(GroupSpec{Maps: []GroupMap{runsMap}, Programs: []GroupProgram{{Name: "test", Hook: Kprobe, Instructions: counting(true), Places: []Place{place}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Attach(); err == nil || !strings.Contains(err.Error(), "1 bytes into "+place.Function+" is no instruction that can be probed") {
		t.Errorf("%v", err)
	}
}

// TestMissedReturns: calls that return while the kernel keeps the returns of as many others as
// it can are counted as missed.
func TestMissedReturns(t *testing.T) {
	needFunctions(t)
	if kernel := os.Getenv("SKEP_KERNEL"); kernel == "5.10" || kernel == "6.1" {
		t.Skip("needs a kernel that tells what links have missed (6.7)")
	}
	const sleepers = 200
	g := attachGroup(t, Kretprobe, true, Place{Name: "r", Function: "hrtimer_nanosleep"})
	var group sync.WaitGroup
	for range sleepers {
		group.Go(func() {
			while := unix.NsecToTimespec(3e9)
			unix.Nanosleep(&while, nil)
		})
	}
	group.Wait()
	runs, missed := g.runs(t), uint64(0)
	for _, s := range g.Stats()[0] {
		missed += s.Missed
	}
	if runs+missed < sleepers {
		t.Errorf("%d runs and %d missed of %d calls", runs, missed, sleepers)
	}
	if err := g.Detach(); err != nil {
		t.Error(err)
	}
	after := uint64(0)
	for _, s := range g.Stats()[0] {
		after += s.Missed
	}
	if after < missed {
		t.Errorf("%d missed, %d when it is detached", missed, after)
	}
	t.Logf("%d runs, %d missed", runs, missed)
}

// TestCPUComes: what runs on every CPU runs on one that comes back too.
func TestCPUComes(t *testing.T) {
	const path = "/sys/devices/system/cpu/cpu1/online"
	if os.Getenv("SKEP_KERNEL") == "" {
		t.Skip("needs a guest of the kernel matrix: takes a CPU away")
	}
	set := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Skipf("needs a CPU that can be taken away: %v", err)
		}
	}
	set("0")
	defer os.WriteFile(path, []byte("1"), 0o644)
	g := attachGroup(t, SoftwareEvent, true, Place{Name: "s", Event: "page-faults", Period: 1})
	set("1")
	onCPU1 := func() uint64 {
		before := g.runs(t)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var old, one unix.CPUSet
		unix.SchedGetaffinity(0, &old)
		one.Set(1)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Fatal(err)
		}
		defer unix.SchedSetaffinity(0, &old)
		fault(t, provoked)
		return g.runs(t) - before
	}
	if n := onCPU1(); n >= provoked {
		t.Errorf("%d faults on a CPU that has come before anybody followed", n)
	}
	if err := g.FollowCPUs(); err != nil {
		t.Fatal(err)
	}
	if n := onCPU1(); n < provoked {
		t.Errorf("%d of %d faults on the CPU that has come", n, provoked)
	}
	for range 2 { // it goes and comes again
		set("0")
		if err := g.FollowCPUs(); err != nil {
			t.Fatal(err)
		}
		set("1")
		if err := g.FollowCPUs(); err != nil {
			t.Fatal(err)
		}
		if n := onCPU1(); n < provoked || n > 3*provoked {
			t.Errorf("%d of %d faults on the CPU that has come again", n, provoked)
		}
	}
}
