// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
)

func TestManyConnections(t *testing.T) {
	w := start(t, "")
	const n = 5000
	w.measure(t)
	said := w.playWhileReading(t, "many", strconv.Itoa(n), "4")
	if missed := int(w.missed()); missed > 0 {
		// Where tasks preempt each other within a program the kernel keeps some events from
		// both of a pair. Those are counted.
		tr := w.until(t, said.port(t, "port"), "the closes", closed(n-missed))
		if missed > n/100 {
			t.Errorf("%d of the events of %d connections were missed", missed, n)
		}
		t.Logf("%d missed: %v", missed, tr)
		return
	}
	tr := w.until(t, said.port(t, "port"), "all closes", closed(n))
	tr.wantCounts(t, 1, n, n, n)
	if got := said.number(t, "received"); got != n*1000 {
		t.Errorf("the clients had %d bytes", got)
	}
	ids := map[uint64]int{}
	for i := range tr.active {
		ids[tr.active[i].Socket.ID]++
		ids[tr.passive[i].Socket.ID]++
		if a := tr.active[i]; a.Traffic.BytesReceived != 1000 || a.Traffic.BytesSent < 100 || a.Traffic.BytesSent > 106 {
			t.Fatalf("client: %d sent, %d received", a.Traffic.BytesSent, a.Traffic.BytesReceived)
		}
		if p := tr.passive[i]; p.Traffic.BytesSent != 1000 || p.Traffic.BytesReceived < 100 || p.Traffic.BytesReceived > 106 {
			t.Fatalf("server: %d sent, %d received", p.Traffic.BytesSent, p.Traffic.BytesReceived)
		}
	}
	if len(ids) != 2*n {
		t.Errorf("%d ids of %d sockets", len(ids), 2*n)
	}
	w.logCost(t)
}

// playWhileReading keeps the rings from filling, as the agent does.
func (w *watch) playWhileReading(t *testing.T, role string, args ...string) said {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.reader.Run(ctx, w) }()
	c := command(role, args...)
	// Sockets in TIME_WAIT are limited in number, and other tests want theirs.
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	out, err := c.Output()
	stop()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatalf("role %s: %v\n%s", role, err, out)
	}
	return parseSaid(string(out))
}

// measure turns the kernel's program statistics on.
func (w *watch) measure(t *testing.T) {
	t.Helper()
	if _, err := new(kern.Meter).Look(); err != nil {
		t.Fatal(err)
	}
}

// logCost says what each program has cost and missed since it was attached.
func (w *watch) logCost(t *testing.T) {
	t.Helper()
	for _, s := range w.kernel.Stats() {
		if s.Runs > 0 || s.Missed > 0 {
			t.Logf("%-14s %8d runs, %5d ns/run, %d missed", s.Name, s.Runs, s.RunTime.Nanoseconds()/int64(max(1, s.Runs)), s.Missed)
		}
	}
	t.Logf("rescued: %d", w.rescued(t))
}

// rescued counts the events that `state` missed and `state_rescue` handled.
func (w *watch) rescued(t *testing.T) (sum uint64) {
	t.Helper()
	m, err := w.kernel.Map(RescuesMap)
	if err != nil {
		t.Fatal(err)
	}
	var perCPU []uint64
	if err := m.Lookup(uint32(0), &perCPU); err != nil {
		t.Fatal(err)
	}
	for _, n := range perCPU {
		sum += n
	}
	return sum
}

// Without `state` every event is one that it has missed: `state_rescue` handles all
// of them, once each. (That it handles none twice is what the exact counts above say.)
func TestRescue(t *testing.T) {
	s := Sensor()
	s.Rescues = nil // so that what state_rescue misses counts
	for i := range s.Ladders[0].Rungs {
		rung := &s.Ladders[0].Rungs[i]
		rung.Programs = slices.DeleteFunc(slices.Clone(rung.Programs), func(name string) bool { return name == "state" })
	}
	const n = 200
	// Where tasks preempt each other within a program it misses some itself, and nothing
	// makes that good here: then once more.
	for range 5 {
		w := startSensor(t, s, "")
		said := w.playWhileReading(t, "many", strconv.Itoa(n), "2")
		if missed := w.missed(); missed > 0 {
			t.Logf("%d events missed by state_rescue itself", missed)
			w.kernel.Close()
			continue
		}
		tr := w.until(t, said.port(t, "port"), "all closes", closed(n))
		tr.wantCounts(t, 1, n, n, n)
		if got := w.rescued(t); got < 8*n {
			t.Errorf("%d events rescued, want all: 8 or more for each of %d connections", got, n)
		}
		return
	}
	t.Error("state_rescue missed events in each of five rounds")
}

// missed is how many events the kernel has kept from the programs, and nothing made good.
func (w *watch) missed() (sum uint64) {
	for _, s := range w.kernel.Stats() {
		sum += s.Missed
	}
	return sum
}

// BenchmarkConnections is the CPU time of a connection of this host to itself (both
// ends, with request and reply) without the sensor and with it, agent not included.
func BenchmarkConnections(b *testing.B) {
	const n = 4000
	measure := func(b *testing.B) {
		var used time.Duration
		for b.Loop() {
			c := command("many", strconv.Itoa(n), "2")
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
			if out, err := c.Output(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			used += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		}
		b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/n, "cpu-ns/connection")
	}
	for _, rung := range []string{"none", "best", "cgroup_hash"} {
		b.Run(rung, func(b *testing.B) {
			if rung == "none" {
				measure(b)
				return
			}
			w := start(b, strings.TrimPrefix(rung, "best"))
			ctx, stop := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- w.reader.Run(ctx, discard{}) }()
			measure(b)
			stop()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

type discard struct{}

func (discard) Critical([]byte)  {}
func (discard) Telemetry([]byte) {}
func (discard) Flush()           {}
