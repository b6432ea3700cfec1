// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
)

// kind is the kind of the records.
const kind = "dns"

// newRecord makes a record in one allocation, with what a packet and a question say.
func newRecord(head *abi.DNSRecord, m *message, outcome string) (*skepv1.Record, *skepv1.Dns) {
	r := &struct {
		record         skepv1.Record
		body           skepv1.Record_Dns
		dns            skepv1.Dns
		client, server skepv1.Endpoint
	}{}
	client, server := flow.EndAt(&head.Local, head.LocalPort), flow.EndAt(&head.Remote, head.RemotePort)
	r.client.Address, r.client.Port = client.Addr().String(), uint32(client.Port)
	r.server.Address, r.server.Port = server.Addr().String(), uint32(server.Port)
	d := &r.dns
	d.Client, d.Server = &r.client, &r.server
	d.Protocol = "udp"
	if head.Protocol == unix.IPPROTO_TCP {
		d.Protocol = "tcp"
	}
	d.CommunityId = flow.CommunityID(client, server, head.Protocol, 0)
	d.Outcome, d.Netns, d.Id = outcome, head.Netns, uint32(m.id)
	d.Name, d.Type, d.Class = bare(m.name), typeName(m.qtype), className(m.class)
	if m.name == "" {
		d.Type, d.Class = "", ""
	}
	d.Opcode = m.opcode()
	d.RecursionDesired = m.bits&bitRecursionDesired != 0
	r.body.Dns = d
	r.record.Kind, r.record.Body = kind, &r.body
	return &r.record, d
}

func unmatched(head *abi.DNSRecord, m *message, length int) *skepv1.Record {
	r, d := newRecord(head, m, "unmatched")
	fillAnswer(d, m, length)
	return r
}

func answered(q *query, head *abi.DNSRecord, m *message, length int) *skepv1.Record {
	r, d := newRecord(&q.head, &q.message, "answered")
	q.fill(r, d, head.Header.BootNS)
	fillAnswer(d, m, length)
	return r
}

// without is the record of a query that has no answer.
func without(q *query, outcome string, nowNS uint64) *skepv1.Record {
	r, d := newRecord(&q.head, &q.message, outcome)
	q.fill(r, d, nowNS)
	return r
}

// fill writes what is known of the query beside its packet.
func (q *query) fill(r *skepv1.Record, d *skepv1.Dns, nowNS uint64) {
	r.Process = q.process
	d.QueryBytes, d.Retransmits = uint32(q.bytes), q.sent
	if asked := q.head.Header.BootNS; nowNS > asked {
		d.LatencyNs = nowNS - asked
	}
}

func fillAnswer(d *skepv1.Dns, m *message, length int) {
	d.Rcode = m.rcode()
	d.Answers, d.AnswersOmitted, d.Undecoded = m.answers, m.omitted, m.reason
	d.AnswerBytes = uint32(length)
	d.Truncated = m.bits&bitTruncated != 0
	d.Authoritative = m.bits&bitAuthoritative != 0
	d.RecursionAvailable = m.bits&bitRecursionAvailable != 0
	d.AuthenticData = m.bits&bitAuthenticData != 0
}
