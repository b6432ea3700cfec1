// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// fields are what tshark prints of each DNS message, in this order.
var fields = []string{
	"frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "tcp.srcport", "tcp.dstport",
	"dns.id", "dns.flags.response", "dns.qry.name", "dns.qry.type", "dns.flags.rcode", "dns.flags.truncated", "dns.flags.authoritative",
	"dns.flags.recdesired", "dns.flags.recavail", "dns.flags.authenticated", "dns.count.answers",
	"dns.resp.name", "dns.resp.type", "dns.resp.ttl", "dns.a", "dns.aaaa", "dns.cname", "udp.length", "dns.length",
}

// message is a DNS message as tshark decodes it.
type message map[string]string

func (m message) list(field string) []string {
	if m[field] == "" {
		return nil
	}
	return strings.Split(m[field], "|")
}

func (m message) number(t *testing.T, field string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(m[field], 0, 64)
	if err != nil {
		t.Fatalf("tshark says %q for %s", m[field], field)
	}
	return n
}

// ends are the addresses and ports, source first.
func (m message) ends() (source, destination string) {
	return m["ip.src"] + m["ipv6.src"] + " " + m["udp.srcport"] + m["tcp.srcport"],
		m["ip.dst"] + m["ipv6.dst"] + " " + m["udp.dstport"] + m["tcp.dstport"]
}

// nanos is when the frame was captured.
func (m message) nanos(t *testing.T) int64 {
	t.Helper()
	s, ns, _ := strings.Cut(m["frame.time_epoch"], ".")
	whole, err1 := strconv.ParseInt(s, 10, 64)
	part, err2 := strconv.ParseInt((ns + "000000000")[:9], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("tshark says %q for a time", m["frame.time_epoch"])
	}
	return whole*1e9 + part
}

// size is the message's length on the wire.
func (m message) size(t *testing.T) int64 {
	if m["udp.srcport"] != "" {
		return m.number(t, "udp.length") - 8
	}
	return m.number(t, "dns.length")
}

func decode(t *testing.T, file string) []message {
	t.Helper()
	args := []string{"-r", file, "-n", "-Y", "dns", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var all []message
	for line := range strings.Lines(string(out)) {
		m := message{}
		for i, value := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			m[fields[i]] = value
		}
		all = append(all, m)
	}
	return all
}

// typeNumbers are those of the types that the tests ask for (IANA's registry).
var typeNumbers = map[string]int64{"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "CAA": 257}

var rcodes = map[string]int64{"NOERROR": 0, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}

// transaction names a query for a comparison: both ends, protocol, id, and the question.
func transaction(client, server, protocol string, id int64, name string, typ int64) string {
	return fmt.Sprintf("%s %s %s %d %s %d", client, server, protocol, id, name, typ)
}

func transactionOf(d *skepv1.Dns) string {
	end := func(e *skepv1.Endpoint) string { return fmt.Sprintf("%s %d", e.Address, e.Port) }
	return transaction(end(d.Client), end(d.Server), d.Protocol, int64(d.Id), d.Name, typeNumbers[d.Type])
}

func (m message) transaction(t *testing.T) string {
	client, server := m.ends()
	if m.response() {
		client, server = server, client
	}
	protocol := "udp"
	if m["tcp.srcport"] != "" {
		protocol = "tcp"
	}
	return transaction(client, server, protocol, m.number(t, "dns.id"), m["dns.qry.name"], m.number(t, "dns.qry.type"))
}

func (m message) response() bool {
	return m["dns.flags.response"] == "1" || m["dns.flags.response"] == "True"
}

func (m message) flag(field string) bool { return m[field] == "1" || m[field] == "True" }

// differences compares a record with the query and the answer (nil for none) on the wire.
func differences(t *testing.T, d *skepv1.Dns, query, answer message) []string {
	t.Helper()
	var all []string
	differ := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	differ("recursion_desired", d.RecursionDesired, query.flag("dns.flags.recdesired"))
	differ("query_bytes", d.QueryBytes, query.size(t))
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
	differ("answers", len(d.Answers), answer["dns.count.answers"])
	names, types, ttls := answer.list("dns.resp.name"), answer.list("dns.resp.type"), answer.list("dns.resp.ttl")
	var data []string
	for i, a := range d.Answers {
		if i >= len(names) || i >= len(types) || i >= len(ttls) {
			break
		}
		differ("name", a.Name, names[i])
		differ("type", typeNumbers[a.Type], types[i])
		differ("ttl", a.Ttl, ttls[i])
		if slices.Contains([]string{"A", "AAAA", "CNAME"}, a.Type) {
			data = append(data, a.Data)
		}
	}
	want := slices.Concat(answer.list("dns.a"), answer.list("dns.aaaa"), answer.list("dns.cname"))
	slices.Sort(data)
	slices.Sort(want)
	differ("data", data, want)
	return all
}
