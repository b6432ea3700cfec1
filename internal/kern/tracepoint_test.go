// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"testing"

	"golang.org/x/sys/unix"
)

// callsOf is a sensor whose program is at the end of system calls that nobody makes here but
// the test: those of places, or of that which the program's section names.
func callsOf(places ...string) Sensor {
	rung := Rung{Name: "calls", Programs: []string{"hostt_setns"}}
	if len(places) > 0 {
		rung.Tracepoints = map[string][]string{"hostt_setns": places}
	}
	return Sensor{Name: "host", Ladders: []Ladder{{Signal: "test", Intent: See, Rungs: []Rung{rung}}}}
}

// runsOf counts the runs of the only program while f runs.
func runsOf(t *testing.T, k *Kernel, f func()) uint64 {
	t.Helper()
	var meter Meter
	if _, err := meter.Look(); err != nil {
		t.Fatal(err)
	}
	defer meter.stats.Close()
	before := k.Stats()[0].Runs
	f()
	return k.Stats()[0].Runs - before
}

// TestTracepoints: one program runs at each of its places, and at none once it is detached.
func TestTracepoints(t *testing.T) {
	needTracepoints(t)
	s := callsOf("syscalls/sys_exit_getpriority", "syscalls/sys_exit_setns")
	k := openPrivate(t, s, nil)
	attachOne(t, k, s)
	const calls = 1000
	if n := runsOf(t, k, func() {
		for range calls {
			unix.Getpriority(unix.PRIO_PROCESS, 0)
			unix.Setns(-1, 0)
			unix.Getpgid(0) // another call
		}
	}); n < 2*calls || n > 2*calls+calls/2 {
		t.Errorf("%d runs of %d calls", n, 2*calls)
	}
	program, err := k.programs[0].program.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	k.Detach(s)
	before, err := program.Stats()
	if err != nil {
		t.Fatal(err)
	}
	unix.Setns(-1, 0)
	if after, err := program.Stats(); err != nil || after.RunCount != before.RunCount {
		t.Errorf("it has run again: %v", err)
	}
}

// TestTracepointMissing: what has one place too few is undone.
func TestTracepointMissing(t *testing.T) {
	needTracepoints(t)
	s := callsOf("syscalls/sys_exit_setns", "syscalls/sys_exit_nothing")
	k := openPrivate(t, s, nil)
	if signal, _ := attachOne(t, k, s); signal.Rung != nil || len(k.Stats()) != 0 {
		t.Errorf("%s, %d programs", states(signal), len(k.Stats()))
	}
}

// TestTracepointPinned: a program at one tracepoint outlives its agent, one at several does not.
func TestTracepointPinned(t *testing.T) {
	needTracepoints(t)
	root := pinRoot(t)
	for _, c := range []struct {
		sensor    Sensor
		transient bool
	}{{callsOf(), false}, {callsOf("syscalls/sys_exit_getpriority", "syscalls/sys_exit_setns"), true}} {
		k := openPinned(t, root, c.sensor)
		signal, first := attachOne(t, k, c.sensor)
		if signal.Rung == nil || signal.Transient != c.transient {
			t.Errorf("%s, transient %t", states(signal), signal.Transient)
		}
		k.Close()
		k = openPinned(t, root, c.sensor)
		if _, second := attachOne(t, k, c.sensor); (first["hostt_setns"] == second["hostt_setns"]) == c.transient {
			t.Errorf("links %v, then %v; transient: %t", first, second, c.transient)
		}
		if n := runsOf(t, k, func() { unix.Setns(-1, 0) }); n == 0 {
			t.Error("the program does not run")
		}
		if err := k.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// needTracepoints skips where a program there cannot find the registers of a process.
func needTracepoints(t *testing.T) {
	t.Helper()
	s := callsOf()
	if signal, _ := attachOne(t, openPrivate(t, s, nil), s); signal.Rung == nil {
		t.Skipf("needs a process's registers at a tracepoint (5.15): %v", signal.Reports)
	}
}
