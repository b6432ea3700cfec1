// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

var commands = [][]string{
	{"/usr/bin/curl", "curl", "-fsS", "--max-time", "2", "http://127.0.0.1:8000/healthz"},
	{"/usr/bin/git", "git", "-C", "/srv/shop", "rev-parse", "--verify", "HEAD"},
	{"/usr/bin/date", "date", "+%s"},
	{"/usr/bin/jq", "jq", "-r", ".items[] | select(.status == \"late\") | .id", "/var/tmp/orders.json"},
	{"/usr/bin/pg_isready", "pg_isready", "-h", "10.88.0.9", "-q"},
	{"/usr/bin/stat", "stat", "-c", "%Y", "/run/lock/backup"},
}

// step is one event: mostly short processes and connections.
func (a *Agent) step() {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch n := a.rng.IntN(100); {
	case n < 18:
		a.spawn(commands[a.rng.IntN(len(commands))])
	case n < 54:
		a.finish()
	case n < 62:
		a.resolve()
	case n < 66:
		a.touch()
	case n < 84:
		a.traffic("open")
	default:
		a.traffic("close")
	}
	if a.opts.Loss && a.rng.IntN(4000) == 0 {
		a.lose(37)
	}
}

// Exec makes a process appear, as a real exec would.
func (a *Agent) Exec(exe string, args ...string) *skepv1.ProcessInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spawn(append([]string{exe}, args...))
}

func (a *Agent) spawn(cmd []string) *skepv1.ProcessInfo {
	parent := a.table[a.rng.IntN(min(30, len(a.table)))]
	a.nextPid++
	p := a.process(parent, parent.Process.Container, a.nextPid, cmd[0], cmd[1:]...)
	child := proto.Clone(p.Process).(*skepv1.Process)
	child.ExecId, child.Comm, child.Exe = parent.Process.ExecId, parent.Process.Comm, parent.Process.Exe
	a.publish(&skepv1.Record{Kind: "fork", Process: child, Body: &skepv1.Record_Fork{Fork: &skepv1.Fork{}}})
	a.table = append(a.table, p)
	a.publish(&skepv1.Record{Kind: "exec", Process: p.Process, Body: &skepv1.Record_Exec{Exec: p.Exec}})
	return p
}

func (a *Agent) finish() {
	if a.cast == len(a.table) || time.Since(a.table[a.cast].Started.AsTime()) < 1500*time.Millisecond {
		return
	}
	p := a.table[a.cast]
	a.table = slices.Delete(a.table, a.cast, a.cast+1)
	p = proto.Clone(p).(*skepv1.ProcessInfo)
	p.Exited = timestamppb.Now()
	p.Exit = &skepv1.Exit{DurationNs: uint64(time.Since(p.Started.AsTime())), MaxRssBytes: 3 << 20, UserNs: 1.2e6, SystemNs: 2.1e6}
	switch a.rng.IntN(12) {
	case 0:
		p.Exit.Code = 1
	case 1:
		p.Exit.Signal, p.Exit.SignalName = 9, "SIGKILL"
	}
	if len(a.gone) > 5000 {
		clear(a.gone)
	}
	a.gone[p.Process.ExecId] = p
	a.publish(&skepv1.Record{Kind: "exit", Process: p.Process, Body: &skepv1.Record_Exit{Exit: p.Exit}})
}

func (a *Agent) traffic(kind string) {
	info := a.conns[a.rng.IntN(len(a.conns))]
	if info.State == "LISTEN" {
		return
	}
	c := proto.Clone(info.Connection).(*skepv1.Connection)
	if kind != "close" {
		c.BytesSent, c.BytesReceived, c.SegmentsSent, c.SegmentsReceived, c.RttUs, c.RttVarUs, c.Retransmits = 0, 0, 0, 0, 0, 0, 0
	} else if c.Error == 0 {
		c.CloseReason, c.DurationNs = "peer", uint64(a.rng.IntN(9e8))
	}
	if kind == "open" {
		kind = map[string]string{"outbound": "connect", "inbound": "accept"}[c.Direction]
	}
	a.publish(&skepv1.Record{Kind: kind, Process: info.Process, Body: &skepv1.Record_Connection{Connection: c}})
}
