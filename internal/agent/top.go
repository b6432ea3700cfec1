// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/server"
)

// maxTallied bounds the processes of one measurement.
const maxTallied = 65536

// tallies are the measurements under way, one for each reader of Top. Where there is none, a
// record costs the reading of a flag.
type tallies struct {
	some  atomic.Bool
	mutex sync.Mutex
	all   map[*tally]struct{}
}

// tally is what records tell of each process, by process id, in one measurement.
type tally struct {
	of        map[string]*deeds
	uncounted uint64
}

// deeds is what a process has done. What its connections carried and its CPU time are those
// that ended: of what goes on somebody else has to be asked.
type deeds struct {
	process          *skepv1.Process
	events, connects uint64
	sent, received   uint64
	cpu              time.Duration
	exited           bool
}

func (t *tallies) add(one *tally) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.all == nil {
		t.all = map[*tally]struct{}{}
	}
	t.all[one] = struct{}{}
	t.some.Store(true)
}

func (t *tallies) remove(one *tally) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.all, one)
	t.some.Store(len(t.all) > 0)
}

// take returns what was counted, and begins anew.
func (t *tallies) take(one *tally) tally {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	was := *one
	*one = tally{of: map[string]*deeds{}}
	return was
}

// count is told of each record that has a process.
func (t *tallies) count(kind event.Kind, r *skepv1.Record) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for one := range t.all {
		one.count(kind, r)
	}
}

func (t *tally) count(kind event.Kind, r *skepv1.Record) {
	d := t.of[r.Process.ProcessId]
	if d == nil {
		if len(t.of) >= maxTallied {
			t.uncounted++
			return
		}
		d = &deeds{}
		t.of[r.Process.ProcessId] = d
	}
	d.process = r.Process
	d.events++
	switch kind {
	case event.Connect:
		if c := r.GetConnection(); c.GetError() == 0 && c.GetErrorName() == "" {
			d.connects++
		}
	case event.Accept:
		d.connects++
	case event.Close:
		d.sent += r.GetConnection().GetBytesSent()
		d.received += r.GetConnection().GetBytesReceived()
	case event.Exit:
		d.cpu, d.exited = time.Duration(r.GetExit().GetUserNs()+r.GetExit().GetSystemNs()), true
	}
}

// usage implements server.Usage.
type usage struct {
	tallies   *tallies
	processes identity.View
	flows     *flow.Table
	traffic   *traffic
}

// Begin implements server.Usage.
func (u *usage) Begin() server.Meter {
	m := &meter{usage: u, tally: &tally{of: map[string]*deeds{}}}
	u.tallies.add(m.tally)
	m.Take()
	return m
}

// meter implements server.Meter.
type meter struct {
	*usage
	tally   *tally
	at      time.Time
	cpu     map[string]time.Duration // of those that lived at the last measurement
	carried map[string]flow.Carried
}

// End implements server.Meter.
func (m *meter) End() { m.tallies.remove(m.tally) }

// Take implements server.Meter.
func (m *meter) Take() (rows []*skepv1.TopRow, measured time.Duration, uncounted uint64) {
	now, before := time.Now(), m.at
	carried := m.flows.Carried(m.traffic.recent())
	living := m.processes.List(false)
	cpu := make(map[string]time.Duration, len(living))
	done := m.tallies.take(m.tally)
	for _, info := range living {
		id := info.Process.ProcessId
		used, ok := cpuTime(info.Process.Pid)
		if !ok {
			continue // it has just ended: its exit tells
		}
		cpu[id] = used
		was, known := m.cpu[id]
		if !known && info.Started.AsTime().Before(before) {
			was = used // it was there, and is met now
		}
		d := done.deeds(id, info.Process, used > was || carried[id].Connections > 0)
		if d != nil && !d.exited {
			d.cpu = used - min(was, used)
		}
	}
	for id, d := range done.of {
		c, last := carried[id], m.carried[id]
		if d.exited {
			d.cpu -= min(m.cpu[id], d.cpu)
		}
		rows = append(rows, &skepv1.TopRow{
			Process: d.process, Processes: 1, Events: float64(d.events), Connections: uint32(c.Connections), Connects: float64(d.connects),
			BytesSent: grown(d.sent, c.Sent, last.Sent), BytesReceived: grown(d.received, c.Received, last.Received), Cpu: d.cpu.Seconds(),
		})
	}
	m.at, m.cpu, m.carried = now, cpu, carried
	return rows, now.Sub(before), done.uncounted
}

// deeds are those of a process, made if it is active although no record told of it; nil if not.
func (t *tally) deeds(id string, p *skepv1.Process, active bool) *deeds {
	d := t.of[id]
	if d == nil && active {
		d = &deeds{process: p}
		t.of[id] = d
	}
	return d
}

// grown is what went over connections: all of those that were closed, and what the open ones
// carry more than the last time. What changes hands (from a listener's process to the one
// that accepts) is no loss of the first.
func grown(closed, now, last uint64) float64 {
	return float64(closed + now - min(last, closed+now))
}

// cpuTime is the CPU time of a living process, of all its threads.
func cpuTime(pid uint32) (time.Duration, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	return parseStat(text)
}

// clockTick is the unit of times in /proc: USER_HZ, which is 100 on every architecture that
// skep runs on (see proc_pid_stat(5)).
const clockTick = 10 * time.Millisecond

// parseStat reads utime and stime, which are the 12th and 13th field behind the name; the
// name is in parentheses and may have any in it.
func parseStat(text []byte) (time.Duration, bool) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, false
	}
	var ticks uint64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseUint(string(f), 10, 40)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, true
}
