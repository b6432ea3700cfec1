// SPDX-License-Identifier: Apache-2.0

package day

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// request is a connection seen from both ends: connect, accept, two closes.
func (d *Day) request() {
	client, server := d.servers[d.random.IntN(len(d.servers))], d.servers[d.random.IntN(len(d.servers))]
	port := uint32(32768 + d.random.IntN(28000))
	a, b := fmt.Sprintf("10.42.0.%d", client.Pid%250), fmt.Sprintf("10.42.0.%d", server.Pid%250)
	id := d.communityID(a, port, b)
	out := func() *skepv1.Connection {
		return &skepv1.Connection{CommunityId: id, Family: "ipv4", Direction: "outbound", Netns: 4026531840 + client.Pid%12, OwnerSource: "connect",
			Local: &skepv1.Endpoint{Address: a, Port: port}, Remote: &skepv1.Endpoint{Address: b, Port: 8080}}
	}
	in := func() *skepv1.Connection {
		return &skepv1.Connection{CommunityId: id, Family: "ipv4", Direction: "inbound", Netns: 4026531840 + server.Pid%12, OwnerSource: "accept",
			Local: &skepv1.Endpoint{Address: b, Port: 8080}, Remote: &skepv1.Endpoint{Address: a, Port: port},
			Peer: &skepv1.Peer{ProcessId: client.ProcessId, ExecId: client.ExecId, Pid: client.Pid, Comm: client.Comm, Exe: client.Exe, ContainerId: client.Container.GetId()}}
	}
	if d.random.IntN(3) == 0 {
		d.lookUp(client, a)
	}
	began := d.now
	d.Add("connect", client, &skepv1.Record{Body: &skepv1.Record_Connection{Connection: out()}})
	d.Add("accept", server, &skepv1.Record{Body: &skepv1.Record_Connection{Connection: in()}})
	d.pass(80 * time.Millisecond)
	sent, received := uint64(200+d.random.IntN(800)), uint64(d.random.IntN(60000))
	for i, c := range []*skepv1.Connection{out(), in()} {
		c.BytesSent, c.BytesReceived = sent, received
		c.SegmentsSent, c.SegmentsReceived = uint32(4+sent/1448), uint32(4+received/1448)
		c.RttUs, c.RttVarUs = uint32(20+d.random.IntN(80)), uint32(d.random.IntN(40))
		c.DurationNs, c.CloseReason = uint64(d.now-began), "local"
		d.Add("close", []*skepv1.Process{client, server}[i], &skepv1.Record{Body: &skepv1.Record_Connection{Connection: c}})
		sent, received = received, sent
	}
}

// communityID looks like one, and no two connections have the same.
func (d *Day) communityID(a string, port uint32, b string) string {
	sum := sha256.Sum256(fmt.Append(nil, a, port, b, d.now))
	return "1:" + base64.StdEncoding.EncodeToString(sum[:20])
}

// lookUp asks for both addresses of a host before it is connected to, as a resolver does.
func (d *Day) lookUp(client *skepv1.Process, address string) {
	n := d.names.Uint64()
	name := fmt.Sprintf("svc-%d.shop.svc.cluster.local", n)
	if n%3 == 0 {
		name = fmt.Sprintf("api-%d.example-%d.com", n, n%17)
	}
	port, id := uint32(32768+d.random.IntN(28000)), uint32(d.random.IntN(1<<16))
	for i, kind := range []string{"A", "AAAA"} {
		d.pass(2 * time.Millisecond)
		query := &skepv1.Dns{
			Outcome: "answered", Name: name, Type: kind, Rcode: "NOERROR", LatencyNs: uint64(100_000 + d.random.IntN(3_000_000)),
			Client: &skepv1.Endpoint{Address: address, Port: port}, Server: &skepv1.Endpoint{Address: "10.42.255.10", Port: 53}, Protocol: "udp",
			CommunityId: d.communityID(address, port, "10.42.255.10"), Netns: 4026531840 + client.Pid%12, Id: id + uint32(i),
			RecursionDesired: true, RecursionAvailable: true, QueryBytes: uint32(16 + len(name)), AnswerBytes: uint32(32 + len(name)),
		}
		switch {
		case n%50 == 49:
			query.Rcode = "NXDOMAIN"
		case kind == "A":
			query.Answers = []*skepv1.DnsAnswer{{Name: name, Type: "A", Ttl: uint32(d.random.IntN(60)), Data: fmt.Sprintf("10.43.%d.%d", n/250, n%250)}}
		}
		d.Add("dns", client, &skepv1.Record{Body: &skepv1.Record_Dns{Dns: query}})
	}
}
