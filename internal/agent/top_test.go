// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/kern"
)

// newTestUsage is a sink's, whose connections have carried what traffic says.
func newTestUsage(s *sink, now *flow.Traffic) *usage {
	s.flows = flow.New(flow.Options{MaxOpen: 10, MaxClosed: 10})
	return &usage{&s.recorder.tallies, identity.View{Table: s.processes, Clock: s.recorder.clock}, s.flows, &traffic{
		programs: func() []string { return nil }, logger: slog.New(slog.DiscardHandler),
		last: *now, until: time.Now().Add(time.Hour),
	}}
}

// tcpEvent applies one event of a socket, and publishes its record.
func (s *sink) tcpEvent(typ abi.EventType, id uint64, sent, received uint64) {
	e := abi.TcpRecord{Header: abi.EventHeader{Type: uint16(typ), BootNS: 1}}
	e.Socket.ID, e.Socket.Owner, e.Socket.Ends.LocalPort = id, abi.ExecID{Tgid: 7, StartNS: 1, ExecNS: 1}, uint16(id)
	e.Traffic.BytesSent, e.Traffic.BytesReceived = sent, received
	owner := func(abi.ExecID) *skepv1.Process { return &skepv1.Process{ProcessId: "seven", Pid: 1 << 22} }
	if r := s.flows.Apply(&e, owner); r != nil {
		kind, _ := event.KindOf(r)
		s.recorder.publish(kind, 1, r.Process, r)
	}
}

func rowOf(rows []*skepv1.TopRow, id string) *skepv1.TopRow {
	for _, r := range rows {
		if r.Process.ProcessId == id {
			return r
		}
	}
	return &skepv1.TopRow{}
}

// TestTopCounts: each byte of a connection counts once, in the measurement in which it went,
// whether the connection is open still or not.
func TestTopCounts(t *testing.T) {
	s, traffic := newTestSink(), flow.Traffic{}
	u := newTestUsage(s, &traffic)
	carry := func(of map[uint64]abi.TcpTraffic) { u.traffic.last = flow.Traffic{AtNS: 1, Of: of} }
	s.tcpEvent(abi.EventConnect, 1, 0, 0) // before anybody looks
	carry(map[uint64]abi.TcpTraffic{1: {BytesSent: 1000, BytesReceived: 1}})
	m := u.Begin()
	want := func(events, connects, sent, received float64, connections uint32) {
		t.Helper()
		rows, measured, uncounted := m.Take()
		r := rowOf(rows, "seven")
		if r.Events != events || r.Connects != connects || r.BytesSent != sent || r.BytesReceived != received || r.Connections != connections {
			t.Errorf("got %v", r)
		}
		if measured <= 0 || uncounted != 0 {
			t.Errorf("measured %v, uncounted %d", measured, uncounted)
		}
	}
	s.tcpEvent(abi.EventConnect, 2, 0, 0)
	s.tcpEvent(abi.EventConnect, 3, 0, 0)
	carry(map[uint64]abi.TcpTraffic{1: {BytesSent: 1500, BytesReceived: 2}, 2: {BytesSent: 10}})
	want(2, 2, 510, 1, 3)
	s.tcpEvent(abi.EventClose, 1, 1600, 2)
	s.tcpEvent(abi.EventClose, 2, 10, 5)
	carry(map[uint64]abi.TcpTraffic{3: {BytesSent: 7}})
	want(2, 0, 107, 5, 1)
	s.tcpEvent(abi.EventConnect, 4, 0, 0) // begins and ends between two looks
	s.tcpEvent(abi.EventClose, 4, 40, 41)
	want(2, 1, 40, 41, 1)
	s.tcpEvent(abi.EventClose, 3, 7, 0)
	carry(nil)
	want(1, 0, 0, 0, 0)
	m.End()
	if s.recorder.tallies.some.Load() {
		t.Error("it counts on with nobody looking")
	}
}

// TestTopProcesses: one that lived and ended between two looks counts with all its CPU time;
// a failed connect is no connection.
func TestTopProcesses(t *testing.T) {
	s, traffic := newTestSink(), flow.Traffic{}
	u := newTestUsage(s, &traffic)
	m := u.Begin()
	defer m.End()
	p := &skepv1.Process{ProcessId: "short", Pid: 1 << 22}
	s.recorder.publish(event.Fork, 1, p, &skepv1.Record{Body: &skepv1.Record_Fork{Fork: &skepv1.Fork{}}})
	s.recorder.publish(event.Connect, 1, p, &skepv1.Record{Body: &skepv1.Record_Connection{Connection: &skepv1.Connection{Error: 111}}})
	s.recorder.publish(event.Exit, 1, p, &skepv1.Record{Body: &skepv1.Record_Exit{Exit: &skepv1.Exit{UserNs: 4e8, SystemNs: 1e8}}})
	s.recorder.tell(&skepv1.Agent{Event: "reload"}) // of no process
	rows, _, _ := m.Take()
	if len(rows) != 1 || rows[0].Events != 3 || rows[0].Cpu != 0.5 || rows[0].Connects != 0 {
		t.Errorf("got %v", rows)
	}
	if rows, _, _ = m.Take(); len(rows) != 0 {
		t.Errorf("the next one has it too: %v", rows)
	}
}

// TestTopIsBounded: more processes than there is room for are told.
func TestTopIsBounded(t *testing.T) {
	s, traffic := newTestSink(), flow.Traffic{}
	u := newTestUsage(s, &traffic)
	m := u.Begin()
	defer m.End()
	for i := range maxTallied + 10 {
		p := &skepv1.Process{ProcessId: fmt.Sprint(i)}
		s.recorder.tallies.count(event.Fork, &skepv1.Record{Process: p})
	}
	if rows, _, uncounted := m.Take(); len(rows) != maxTallied || uncounted != 10 {
		t.Errorf("%d rows, %d uncounted", len(rows), uncounted)
	}
}

func TestCPUTime(t *testing.T) {
	before, ok := cpuTime(uint32(os.Getpid()))
	if !ok {
		t.Fatal("not known of itself")
	}
	used := ownCPU()
	for ownCPU()-used < 300*time.Millisecond {
	}
	after, _ := cpuTime(uint32(os.Getpid()))
	if d, own := after-before, ownCPU()-used; d < own-50*time.Millisecond || d > own+50*time.Millisecond {
		t.Errorf("%v of %v", d, own)
	}
	if _, ok := cpuTime(1 << 30); ok {
		t.Error("known of nobody")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 0 0"), uint64(0))
	f.Add([]byte("7 (sh) S 1 2 3 4 5 6 7 8 9 10 99999999999999999999 12"), uint64(1))
	f.Add([]byte(""), uint64(2))
	f.Add([]byte(")"), uint64(3))
	f.Fuzz(func(t *testing.T, text []byte, utime uint64) {
		if got, ok := parseStat(text); ok && got < 0 {
			t.Errorf("%q: %v", text, got)
		}
		utime %= 1 << 40
		line := fmt.Sprintf("7 (%s) S 1 2 3 4 5 6 7 8 9 10 %d 3 0 0 20 0 1", text, utime)
		if got, ok := parseStat([]byte(line)); !ok || got != time.Duration(utime+3)*clockTick {
			t.Errorf("%q: %v, %v", line, got, ok)
		}
	})
}

// TestMissedFollowPrograms: what was reported of a program stays its own when others are
// detached and attached, and their order changes.
func TestMissedFollowPrograms(t *testing.T) {
	s := newTestSink()
	s.costs = &costs{}
	look := func(programs ...kern.ProgramStats) uint64 {
		before := s.recorder.received(event.Loss)
		s.costs.now.programs = programs
		s.reportMissed()
		return s.recorder.received(event.Loss) - before
	}
	exec, dns, tcp := kern.ProgramStats{ID: 1, Missed: 2}, kern.ProgramStats{ID: 2, Missed: 0}, kern.ProgramStats{ID: 3, Missed: 50}
	if n := look(exec, dns, tcp); n != 2 {
		t.Errorf("%d are told, want those of two programs", n)
	}
	if n := look(exec, tcp); n != 0 {
		t.Errorf("%d are told because one was detached", n)
	}
	dns.ID = 4
	if n := look(exec, tcp, dns); n != 0 {
		t.Errorf("%d are told because one was attached", n)
	}
	dns.Missed = 1
	if n := look(exec, tcp, dns); n != 1 {
		t.Errorf("%d are told of one", n)
	}
}
