// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Numbers of the types and response codes that the tests meet (IANA's registry).
var (
	types  = map[string]int{"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "CAA": 257}
	rcodes = map[string]int{"NOERROR": 0, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
)

// transaction is as that of a message.
func transaction(d *skepv1.Dns) string {
	return fmt.Sprintf("%s %d %s %d %s %d %s %d", d.Client.Address, d.Client.Port, d.Server.Address, d.Server.Port,
		d.Protocol, d.Id, d.Name, types[d.Type])
}

// differences compares a record with the query and the answer (nil for none) on the wire.
func differences(t *testing.T, d *skepv1.Dns, query, answer *message) []string {
	t.Helper()
	var all []string
	differ := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	differ("recursion_desired", d.RecursionDesired, query.flag("dns.flags.recdesired"))
	differ("query_bytes", d.QueryBytes, query.size(t))
	differ("class and opcode", d.Class+d.Opcode, "")
	differ("retransmits", d.Retransmits, 0)
	if answer == nil {
		differ("outcome", d.Outcome, "unanswered")
		differ("rcode", d.Rcode, "")
		differ("latency_ns", d.LatencyNs, 5_000_000_000)
		return all
	}
	differ("outcome", d.Outcome, "answered")
	differ("rcode", rcodes[d.Rcode], answer.number(t, "dns.flags.rcode"))
	differ("answer_bytes", d.AnswerBytes, answer.size(t))
	differ("truncated", d.Truncated, answer.flag("dns.flags.truncated"))
	differ("authoritative", d.Authoritative, answer.flag("dns.flags.authoritative"))
	differ("recursion_available", d.RecursionAvailable, answer.flag("dns.flags.recavail"))
	differ("authentic_data", d.AuthenticData, answer.flag("dns.flags.authenticated"))
	var got, want []string
	for _, a := range d.Answers {
		got = append(got, fmt.Sprintf("%s %d %d %s", a.Name, types[a.Type], a.Ttl, a.Data))
	}
	for _, a := range answer.answers {
		want = append(want, fmt.Sprintf("%s %s %s %s", a.owner(), a["dns.resp.type"], a["dns.resp.ttl"], a.data(t)))
	}
	differ("answers", got, want)
	return all
}

// compare matches all records with all messages, one to one.
func compare(t *testing.T, records []*skepv1.Record, wire []*message) {
	t.Helper()
	queries, answers := map[string]*message{}, map[string]*message{}
	for _, m := range wire {
		if m.response() {
			answers[m.transaction(t)] = m
		} else {
			queries[m.transaction(t)] = m
		}
	}
	netns, outcomes, offs := netnsInode(t), map[string]int{}, []float64{}
	for _, r := range records {
		d := r.GetDns()
		key := transaction(d)
		query, answer := queries[key], answers[key]
		delete(queries, key)
		if query == nil {
			t.Errorf("no such query was captured: %v", d)
			continue
		}
		for _, what := range differences(t, d, query, answer) {
			t.Errorf("%s: %s", key, what)
		}
		if d.Netns != netns {
			t.Errorf("%s: network namespace %d, want %d", key, d.Netns, netns)
		}
		outcomes[d.Outcome+" "+d.Rcode]++
		if answer != nil {
			offs = append(offs, math.Abs(float64(answer.nanos(t)-query.nanos(t)-int64(d.LatencyNs)))/1e6)
			if off := time.Duration(r.Time.AsTime().UnixNano() - answer.nanos(t)); off.Abs() > 100*time.Millisecond {
				t.Errorf("%s: its time is %v off", key, off)
			}
		}
	}
	for key := range queries {
		t.Errorf("%s: was captured and not told", key)
	}
	t.Logf("outcomes: %v", outcomes)
	if n := len(records); outcomes["unanswered "] != n/10 || outcomes["answered NXDOMAIN"] != n/10 || outcomes["answered NOERROR"] != n-n/5 {
		t.Errorf("outcomes %v of %d, want a tenth unanswered and a tenth NXDOMAIN", outcomes, n)
	}
	checkLatencies(t, offs)
}

// checkLatencies: program and tcpdump look at a packet at different places. On a busy
// machine somebody else may run in between, so one in 20 may be off by any time.
func checkLatencies(t *testing.T, offs []float64) {
	t.Helper()
	slices.Sort(offs)
	if len(offs) == 0 {
		t.Fatal("no latency was compared")
	}
	median, most := offs[len(offs)/2], offs[len(offs)*95/100]
	t.Logf("latency off by %.3f ms (median), %.3f (95%%), %.3f (most) of %d", median, most, offs[len(offs)-1], len(offs))
	if median > 1 || most > 1 {
		t.Errorf("of %d latencies half are off by %.3f ms and more, 5%% by %.3f, want less than 1 ms", len(offs), median, most)
	}
}
