// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// ladderOf is a sensor on the process object's programs, whose rungs are given as
// "name: program program".
func ladderOf(required bool, rungs ...string) Sensor {
	ladder := Ladder{Signal: "test", Intent: See, Required: required}
	for _, r := range rungs {
		name, programs, _ := strings.Cut(r, ": ")
		ladder.Rungs = append(ladder.Rungs, Rung{Name: name, Programs: strings.Fields(programs)})
	}
	return Sensor{Name: "process", Ladders: []Ladder{ladder}}
}

func openPrivate(t *testing.T, s Sensor, force map[string]string) *Kernel {
	t.Helper()
	needRoot(t)
	k, err := Open(Options{Force: force, Logger: slog.New(slog.DiscardHandler)}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func states(s Signal) string {
	var all []string
	for _, r := range s.Reports {
		all = append(all, r.Name+" "+string(r.State))
	}
	return strings.Join(all, ", ")
}

func TestClimb(t *testing.T) {
	const good, lower, broken = "good: fork_btf exec_btf", "lower: exit_btf", "broken: fork_btf nonsense"
	for _, c := range []struct {
		name   string
		rungs  []string
		force  map[string]string
		used   string
		states string
		count  int
	}{
		{"the best", []string{good, lower}, nil, "good", "good used, lower skipped", 2},
		{"forced", []string{good, lower}, map[string]string{"test": "lower"}, "lower", "good forced_off, lower used", 1},
		{"the best fails", []string{broken, lower}, nil, "lower", "broken unavailable, lower used", 1},
		{"all fail", []string{broken}, nil, "", "broken unavailable", 0},
		{"forced one fails", []string{good, broken}, map[string]string{"test": "broken"}, "", "good forced_off, broken unavailable", 0},
	} {
		for _, prepared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, prepared %v", c.name, prepared), func(t *testing.T) {
				s := ladderOf(false, c.rungs...)
				k := openPrivate(t, s, c.force)
				if prepared {
					k.Prepare(s)
				}
				signals, err := k.Attach(s)
				if err != nil {
					t.Fatal(err)
				}
				used := ""
				if signals[0].Rung != nil {
					used = signals[0].Rung.Name
				}
				if used != c.used || states(signals[0]) != c.states || len(k.Stats()) != c.count {
					t.Errorf("used %q (%s) with %d programs; want %q (%s) with %d", used, states(signals[0]), len(k.Stats()), c.used, c.states, c.count)
				}
				for _, r := range signals[0].Reports {
					if r.State != Used && r.Reason == "" {
						t.Errorf("rung %s is %s without a reason", r.Name, r.State)
					}
				}
			})
		}
	}
}

// TestAttachTogether: the budget takes sensors back while a reload attaches others, and a
// scan loads its program.
func TestAttachTogether(t *testing.T) {
	s := ladderOf(false, "good: fork_btf", "lower: exit_btf")
	k := openPrivate(t, s, nil)
	other := s
	other.Ladders = []Ladder{{Signal: "other", Intent: See, Rungs: []Rung{{Name: "good", Programs: []string{"exec_btf"}}}}}
	var group sync.WaitGroup
	for _, one := range []Sensor{s, other} {
		group.Go(func() {
			for range 3 {
				if signals, err := k.Attach(one); err != nil || signals[0].Rung == nil {
					t.Errorf("attached %+v, error %v", signals, err)
				}
				k.Detach(one)
			}
		})
	}
	group.Go(func() {
		if _, err := k.Scan(s, "existing"); err != nil {
			t.Error(err)
		}
	})
	group.Wait()
	if n := len(k.Stats()); n != 0 {
		t.Errorf("%d programs are left", n)
	}
}

func TestRequiredSignal(t *testing.T) {
	s := ladderOf(true, "broken: nonsense")
	k := openPrivate(t, s, nil)
	if _, err := k.Attach(s); err == nil || !strings.Contains(err.Error(), "attach test") || !strings.Contains(err.Error(), "broken: ") {
		t.Errorf("a required signal that cannot be had: %v", err)
	}
}

func TestForceUnknown(t *testing.T) {
	s := ladderOf(false, "good: fork_btf", "lower: exit_btf")
	for force, want := range map[string]string{"test=nonsense": "good, lower", "nonsense=good": "the signals are test"} {
		signal, rung, _ := strings.Cut(force, "=")
		_, err := Open(Options{Force: map[string]string{signal: rung}}, s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", force, err)
		}
	}
}

// openPinned opens a kernel side on pins of the test's own; it does not mark the host.
func openPinned(t *testing.T, root string, s Sensor) *Kernel {
	t.Helper()
	needRoot(t)
	k := newKernel(Options{PinRoot: root, Logger: slog.New(slog.DiscardHandler)})
	for _, step := range []func() error{
		func() error { return k.parse([]Sensor{s}) }, func() error { return k.openPins([]Sensor{s}) }, k.openMaps,
	} {
		if err := step(); err != nil {
			t.Fatal(errors.Join(err, k.Abort()))
		}
	}
	return k
}

func pinRoot(t *testing.T) string {
	t.Helper()
	needRoot(t)
	if missing, err := CheckPinRoot(standardBPFFS + "/x"); err != nil || missing {
		t.Skipf("needs a BPF filesystem at %s: %v", standardBPFFS, err)
	}
	root := fmt.Sprintf("%s/skep-kern-test-%d", standardBPFFS, os.Getpid())
	t.Cleanup(func() {
		if _, err := os.Lstat(root); err == nil {
			t.Errorf("%s is left", root)
			os.RemoveAll(root)
		}
	})
	return root
}

func attachOne(t *testing.T, k *Kernel, s Sensor) (Signal, map[string]link.ID) {
	t.Helper()
	signals, err := k.Attach(s)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]link.ID{}
	for _, p := range k.programs {
		info, err := p.link.Info()
		if err != nil {
			t.Fatal(err)
		}
		ids[p.Name] = info.ID
	}
	return signals[0], ids
}

// TestAdoptAllOrNothing: a rung is taken over whole, or attached anew whole.
func TestAdoptAllOrNothing(t *testing.T) {
	root := pinRoot(t)
	s := ladderOf(true, "good: fork_btf exec_btf")
	k := openPinned(t, root, s)
	_, first := attachOne(t, k, s)
	k.Close()

	k = openPinned(t, root, s)
	if _, again := attachOne(t, k, s); !k.Adopted() || fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("adopted %v: links %v, were %v", k.Adopted(), again, first)
	}
	pin := k.programs[1].pin
	k.Close()
	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}

	k = openPinned(t, root, s)
	_, anew := attachOne(t, k, s)
	if anew["fork_btf"] == first["fork_btf"] || anew["exec_btf"] == first["exec_btf"] {
		t.Errorf("with one pin gone the links are %v, were %v", anew, first)
	}
	if len(anew) != 2 {
		t.Errorf("attached %v", anew)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}

// TestBetterRungReplaces: what a lower rung served is not told twice.
func TestBetterRungReplaces(t *testing.T) {
	root := pinRoot(t)
	s := ladderOf(true, "good: fork_btf", "lower: exit_btf")
	k := openPinned(t, root, s)
	lower := s
	lower.Ladders = []Ladder{s.Ladders[0]}
	lower.Ladders[0].Rungs = s.Ladders[0].Rungs[1:] // as if the better one had failed
	attachOne(t, k, lower)
	k.Close()

	k = openPinned(t, root, s)
	signal, _ := attachOne(t, k, s)
	if signal.Rung.Name != "good" {
		t.Errorf("used %s", signal.Rung.Name)
	}
	if err := k.Settle(); err != nil {
		t.Error(err)
	}
	if pins, _ := filepath.Glob(k.dir + "/links/*/*"); len(pins) != 1 || filepath.Base(pins[0]) != "fork_btf" {
		t.Errorf("pinned: %v", pins)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}

// TestAbortKeepsAdopted: a start that fails leaves the kernel side that it had taken over
// as it was: the lower rung attached, and nothing of the better one.
func TestAbortKeepsAdopted(t *testing.T) {
	root := pinRoot(t)
	s := ladderOf(true, "good: fork_btf", "lower: exit_btf")
	k := openPinned(t, root, s)
	lower := s
	lower.Ladders = []Ladder{s.Ladders[0]}
	lower.Ladders[0].Rungs = s.Ladders[0].Rungs[1:]
	_, first := attachOne(t, k, lower)
	k.Close()

	k = openPinned(t, root, s)
	if signal, _ := attachOne(t, k, s); signal.Rung.Name != "good" {
		t.Errorf("used %s", signal.Rung.Name)
	}
	dir := k.dir
	if err := k.Abort(); err != nil {
		t.Error(err)
	}
	if pins, _ := filepath.Glob(dir + "/links/*/*"); len(pins) != 1 || filepath.Base(pins[0]) != "exit_btf" {
		t.Errorf("pinned: %v", pins)
	}

	k = openPinned(t, root, s)
	if _, again := attachOne(t, k, lower); !k.Adopted() || again["exit_btf"] != first["exit_btf"] {
		t.Errorf("adopted %v: links %v, were %v", k.Adopted(), again, first)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}

// TestFailedRungLeavesNothing: programs that came before the one that failed are undone.
func TestFailedRungLeavesNothing(t *testing.T) {
	root := pinRoot(t)
	// Both load; the second cannot be pinned, because something has its name.
	s := ladderOf(false, "good: fork_btf exec_btf")
	k := openPinned(t, root, s)
	dir := k.linkDir(s.Ladders[0], &s.Ladders[0].Rungs[0])
	if err := makeDirs(dir, dir+"/exec_btf"); err != nil {
		t.Fatal(err)
	}
	signal, ids := attachOne(t, k, s)
	if signal.Rung != nil || len(ids) != 0 {
		t.Errorf("used %v with %v", signal.Rung, ids)
	}
	if pins, _ := filepath.Glob(dir + "/*"); len(pins) != 1 {
		t.Errorf("left: %v", pins)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		log  []string
		want string
	}{
		{[]string{"0: R1=ctx", "R1 invalid mem access 'scalar'", "processed 3 insns (limit 1000000)", ""}, "R1 invalid mem access 'scalar'"},
		{[]string{"unreachable insn 4", "verification time 10 usec", "stack depth 0", "processed 1 insns"}, "unreachable insn 4"},
		{[]string{"only this"}, "only this"},
		{[]string{"processed 0 insns (limit 1000000)"}, ""},
	} {
		if got := verdict(c.log); got != c.want {
			t.Errorf("%q: %q, want %q", c.log, got, c.want)
		}
	}
}

func TestReason(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("load: %w", &ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"R1 is bad", "processed 3 insns"}}), "the verifier refuses it: R1 is bad"},
		{fmt.Errorf("load: %w", unix.EPERM), "EPERM"},
		{fmt.Errorf("load: %w", &ebpf.VerifierError{Cause: unix.EPERM, Log: []string{"processed 0 insns"}}), "EPERM and no verifier log"},
		{fmt.Errorf("find: %w", btf.ErrNotFound), "no such hook"},
		{errors.New("something else"), "something else"},
	} {
		if got := reason(c.err); !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
