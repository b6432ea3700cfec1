// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func peer(p *skepv1.ProcessInfo) *skepv1.Peer {
	q := p.GetProcess()
	return &skepv1.Peer{ProcessId: q.ProcessId, ExecId: q.ExecId, Pid: q.Pid, Comm: q.Comm, Exe: q.Exe, ContainerId: q.Container.GetId()}
}

func (a *Agent) connect(p *skepv1.ProcessInfo, c *skepv1.Connection, state string) *skepv1.ConnectionInfo {
	c.Family, c.Netns = "ipv4", 4026532201
	c.CommunityId = fmt.Sprintf("1:%08x%08xJm0oX4mzvQpW=", (c.GetLocal().GetPort()+c.GetRemote().GetPort())*2654435761, c.GetLocal().GetPort()*c.GetRemote().GetPort())
	info := &skepv1.ConnectionInfo{Process: p.Process, Connection: c, State: state,
		Opened: timestamppb.New(time.Now().Add(-time.Duration(a.rng.IntN(7200)) * time.Second))}
	if state == "ESTABLISHED" || state == "CLOSED" {
		c.BytesSent, c.BytesReceived = uint64(a.rng.IntN(5e6)), uint64(a.rng.IntN(9e5))
		c.SegmentsSent, c.SegmentsReceived = uint32(c.BytesSent/1400+3), uint32(c.BytesReceived/1400+3)
		c.RttUs, c.RttVarUs = uint32(40+a.rng.IntN(300)), uint32(a.rng.IntN(40))
		c.Retransmits = uint32(max(0, a.rng.IntN(20)-17))
		c.DurationNs, info.Counted = uint64(a.rng.IntN(7200e9)), timestamppb.Now()
	}
	p.Connections++
	a.conns = append(a.conns, info)
	return info
}

func (a *Agent) pair(from, to *skepv1.ProcessInfo, src, dst string, sport, dport uint32) {
	l, r := &skepv1.Endpoint{Address: src, Port: sport}, &skepv1.Endpoint{Address: dst, Port: dport}
	a.connect(from, &skepv1.Connection{Local: l, Remote: r, Direction: "outbound", OwnerSource: "connect", Peer: peer(to)}, "ESTABLISHED")
	a.connect(to, &skepv1.Connection{Local: r, Remote: l, Direction: "inbound", OwnerSource: "accept", Peer: peer(from)}, "ESTABLISHED")
}

func (a *Agent) inbound(p *skepv1.ProcessInfo, from string, sport, port uint32) {
	c := a.connect(p, &skepv1.Connection{Local: &skepv1.Endpoint{Address: "192.0.2.10", Port: port}, Remote: &skepv1.Endpoint{Address: from, Port: sport},
		Direction: "inbound", OwnerSource: "accept"}, "ESTABLISHED").Connection
	c.RttUs = uint32(9000 + a.rng.IntN(90000))
}

func (a *Agent) outbound(p *skepv1.ProcessInfo, to string, sport, port uint32) {
	c := a.connect(p, &skepv1.Connection{Local: &skepv1.Endpoint{Address: "192.0.2.10", Port: sport}, Remote: &skepv1.Endpoint{Address: to, Port: port},
		Direction: "outbound", OwnerSource: "connect"}, "ESTABLISHED").Connection
	c.RttUs, c.Retransmits = uint32(21000+a.rng.IntN(4000)), 4
}

func (a *Agent) listen(p *skepv1.ProcessInfo, addr string, port uint32) {
	a.connect(p, &skepv1.Connection{Local: &skepv1.Endpoint{Address: addr, Port: port}, Direction: "listen", OwnerSource: "listen", Backlog: 511}, "LISTEN")
}

func (a *Agent) fail(p *skepv1.ProcessInfo, to string, port uint32) {
	for range 6 {
		a.connect(p, &skepv1.Connection{Local: &skepv1.Endpoint{Address: "10.88.0.7", Port: uint32(33000 + a.rng.IntN(9000))}, Remote: &skepv1.Endpoint{Address: to, Port: port},
			Direction: "outbound", OwnerSource: "connect", Error: 111, ErrorName: "ECONNREFUSED", CloseReason: "refused"}, "FAILED")
	}
}
