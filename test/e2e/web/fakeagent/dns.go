// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// question is a name that the cast asks for, and what comes of it.
type question struct {
	name, kind, server, rcode string
	answers                   []string
}

var questions = []question{
	{"db.shop.internal", "A", "10.88.0.1", "NOERROR", []string{"10.88.0.9"}},
	{"cache.shop.internal", "A", "10.88.0.1", "NOERROR", []string{"10.88.0.11"}},
	{"db.shop.internal", "A", "10.88.0.1", "NOERROR", []string{"10.88.0.9"}},
	{"cache.shop.internal", "AAAA", "10.88.0.1", "NOERROR", nil},
	{"api.payments.example", "A", "10.88.0.1", "NOERROR", []string{"CNAME edge.payments.example", "198.51.100.44", "198.51.100.45"}},
	{"api.payments.example", "AAAA", "10.88.0.1", "NOERROR", []string{"CNAME edge.payments.example", "2001:db8:44::7"}},
	{"db.shop.internal.example.com", "A", "10.88.0.1", "NXDOMAIN", nil},
	{"metrics.old.example", "A", "192.0.2.53", "", nil},
	{"legacy-ldap.corp.example", "SRV", "192.0.2.53", "SERVFAIL", nil},
	{`\027[31m<img\032src=x>.example`, "TXT", "10.88.0.1", "NOERROR", []string{"\"<script>alert(1)</script> \u202egnp\""}},
}

// resolve makes a process ask. Most questions are the ordinary ones.
func (a *Agent) resolve() {
	q := questions[a.rng.IntN(len(questions))]
	if a.rng.IntN(3) > 0 {
		q = questions[a.rng.IntN(6)]
	}
	a.ask(a.table[a.rng.IntN(a.cast)], q)
}

func (a *Agent) ask(p *skepv1.ProcessInfo, q question) {
	d := &skepv1.Dns{Outcome: "answered", Name: q.name, Type: q.kind, Rcode: q.rcode, LatencyNs: uint64(180_000 + a.rng.IntN(900_000)),
		Client: &skepv1.Endpoint{Address: "10.88.0.7", Port: uint32(33000 + a.rng.IntN(9000))}, Server: &skepv1.Endpoint{Address: q.server, Port: 53},
		Protocol: "udp", CommunityId: "1:Jm0oX4mzvQpW=", Netns: 4026532201, Id: uint32(a.rng.IntN(65536)), RecursionDesired: true, RecursionAvailable: true, QueryBytes: 38, AnswerBytes: 54}
	if a.rng.IntN(40) == 0 {
		d.LatencyNs = uint64(20_000_000 + a.rng.IntN(2_000_000_000))
	}
	if q.rcode == "" {
		d.Outcome, d.LatencyNs, d.Retransmits, d.AnswerBytes = "unanswered", 5_000_000_000, 2, 0
	}
	for _, text := range q.answers {
		kind, data, named := strings.Cut(text, " ")
		if !named || kind != "CNAME" {
			kind, data = q.kind, text
		}
		d.Answers = append(d.Answers, &skepv1.DnsAnswer{Name: q.name, Type: kind, Ttl: 60, Data: data})
	}
	a.publish(&skepv1.Record{Kind: "dns", Process: p.Process, Body: &skepv1.Record_Dns{Dns: d}})
}

// Resolve makes a process of the cast ask for a name that does not exist.
func (a *Agent) Resolve(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ask(a.table[0], question{name, "A", "10.88.0.1", "NXDOMAIN", nil})
}
