// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

const ms = uint64(time.Millisecond)

// bench is a table and what it has published.
type bench struct {
	*Table
	records []*skepv1.Record
	times   []uint64
}

func newBench() *bench {
	b := &bench{}
	b.Table = New(NewNames(), func(ns uint64, r *skepv1.Record) { b.records, b.times = append(b.records, r), append(b.times, ns) })
	return b
}

func resolve(id abi.ExecID) *skepv1.Process {
	return &skepv1.Process{ProcessId: fmt.Sprint("process-", id.Tgid), Pid: id.Tgid}
}

// head is the record of a packet over UDP.
func head(socket uint64, in bool, ns uint64) *abi.DNSRecord {
	h := &abi.DNSRecord{Socket: socket, LocalPort: 5000, RemotePort: 53, Protocol: unix.IPPROTO_UDP, Header: abi.EventHeader{BootNS: ns}}
	h.Local, h.Remote = [4]uint32{0, 0, 0xffff0000, 0x0100007f}, [4]uint32{0, 0, 0xffff0000, 0x3500007f}
	if in {
		h.Flags = uint8(abi.DNSIncoming)
	} else {
		h.Owner.Tgid, h.Netns = 7, 99
	}
	return h
}

func (b *bench) packet(h *abi.DNSRecord, payload []byte) {
	h.Length, h.Captured = uint32(len(payload)), uint16(len(payload))
	b.Apply(h, payload, resolve)
}

// told describes the records: outcome, name, rcode, answers, latency in ms, process.
func (b *bench) told() string {
	var all []string
	for _, r := range b.records {
		d := r.GetDns()
		text := fmt.Sprintf("%s %s", d.Outcome, d.Name)
		if d.Rcode != "" {
			text += " " + d.Rcode
		}
		for _, a := range d.Answers {
			text += " " + a.Data
		}
		text += fmt.Sprintf(" %dms", d.LatencyNs/ms)
		if r.Process != nil {
			text += fmt.Sprintf(" by %d", r.Process.Pid)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func (b *bench) want(t *testing.T, want string) {
	t.Helper()
	if got := b.told(); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

func query1(name string) []byte {
	return wire(header(0x0100, 1, 0), fmt.Sprintf("%c%s\x00\x00\x01\x00\x01", len(name), name))
}

func answer1(name string, rcode uint16, data ...string) []byte {
	m := wire(header(0x8180|rcode, 1, len(data)), fmt.Sprintf("%c%s\x00\x00\x01\x00\x01", len(name), name))
	for _, d := range data {
		m = append(m, rr(toQuestion, 1, 300, d)...)
	}
	return m
}

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(b *bench)
		want string
	}{
		{"answered", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(1, true, 12*ms), answer1("a", 0, "\x01\x02\x03\x04", "\x01\x02\x03\x05"))
		}, "answered a NOERROR 1.2.3.4 1.2.3.5 2ms by 7"},
		{"case of the name changed", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("aBc"))
			b.packet(head(1, true, 12*ms), answer1("AbC", 3))
		}, "answered aBc NXDOMAIN 2ms by 7"},
		{"error without the question", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(1, true, 12*ms), header(0x8181, 0, 0))
		}, "answered a FORMERR 2ms by 7"},
		{"another question's answer", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(1, true, 12*ms), answer1("evil", 0, "\x01\x02\x03\x04"))
			b.packet(head(1, true, 13*ms), answer1("a", 0))
		}, "unmatched evil NOERROR 1.2.3.4 0ms; answered a NOERROR 3ms by 7"},
		{"another socket's answer", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(2, true, 12*ms), answer1("a", 0))
		}, "unmatched a NOERROR 0ms"},
		{"another server's answer", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			h := head(1, true, 12*ms)
			h.RemotePort = 54
			b.packet(h, answer1("a", 0))
		}, "unmatched a NOERROR 0ms"},
		{"two with one id", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(1, false, 11*ms), query1("b"))
			b.packet(head(1, false, 12*ms), query1("c"))
			b.packet(head(1, true, 13*ms), answer1("b", 0))
			b.packet(head(1, true, 14*ms), answer1("a", 0))
			b.packet(head(1, true, 15*ms), answer1("c", 0))
		}, "answered b NOERROR 2ms by 7; answered a NOERROR 4ms by 7; answered c NOERROR 3ms by 7"},
		{"unanswered, and late", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.Expire(5209 * ms)
			b.packet(head(1, false, 5209*ms), query1("b"))
			b.Expire(5210 * ms)
			b.packet(head(1, true, 6010*ms), answer1("a", 0))
		}, "unanswered a 5000ms by 7; answered a NOERROR 6000ms by 7"},
		{"too late", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.Expire(6000 * ms)
			b.Expire(40000 * ms)
			b.packet(head(1, true, 40010*ms), answer1("a", 0))
		}, "unanswered a 5000ms by 7; unmatched a NOERROR 0ms"},
		{"answered twice", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(1, true, 11*ms), answer1("a", 0))
			b.packet(head(1, true, 12*ms), answer1("a", 3))
		}, "answered a NOERROR 1ms by 7; unmatched a NXDOMAIN 0ms"},
		{"asked anew after it was told", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.Expire(6000 * ms)
			b.packet(head(1, false, 6010*ms), query1("a"))
			b.packet(head(1, true, 6011*ms), answer1("a", 0))
		}, "unanswered a 5000ms by 7; answered a NOERROR 1ms by 7"},
		{"the agent stops", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.packet(head(1, false, 11*ms), query1("b"))
			b.Abandon(20 * ms)
		}, "abandoned a 10ms by 7; abandoned b 9ms by 7"},
		{"nothing is seen for a while", func(b *bench) {
			b.packet(head(1, false, 10*ms), query1("a"))
			b.Expire(6000 * ms)
			b.packet(head(1, false, 6001*ms), query1("b"))
			b.Pause(6002 * ms)
			b.packet(head(1, true, 7000*ms), answer1("b", 0)) // to a query from before
			b.packet(head(1, false, 7001*ms), query1("a"))
			b.packet(head(1, true, 7002*ms), answer1("a", 0))
		}, "unanswered a 5000ms by 7; abandoned b 1ms by 7; unmatched b NOERROR 0ms; answered a NOERROR 1ms by 7"},
		{"a server of this host and its client at port 53", func(b *bench) {
			b.packet(head(1, true, 10*ms), query1("a"))
			b.packet(head(1, false, 11*ms), answer1("a", 0))
		}, ""},
		{"owner not known", func(b *bench) {
			h := head(1, false, 10*ms)
			h.Owner.Tgid = 0
			b.packet(h, query1("a"))
			b.packet(head(1, true, 11*ms), answer1("a", 0))
		}, "answered a NOERROR 1ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench()
			tt.do(b)
			b.want(t, tt.want)
			b.check(t)
		})
	}
}

// check looks at the books: what is in the map is in one of the queues.
func (b *bench) check(t *testing.T) {
	t.Helper()
	n := 0
	for _, q := range b.byKey {
		for ; q != nil; q = q.sameKey {
			n++
		}
	}
	if n != b.waiting.n+b.late().n {
		t.Errorf("%d queries in the map, %d wait and %d are told", n, b.waiting.n, b.late().n)
	}
}

func (b *bench) late() *queue { return &b.Table.told }

func TestRecord(t *testing.T) {
	b := newBench()
	b.packet(head(1, false, 10*ms), query1("a"))
	b.packet(head(1, false, 11*ms), query1("a")) // again
	b.packet(head(1, true, 12*ms), answer1("a", 0, "\x01\x02\x03\x04"))
	if len(b.records) != 1 || b.times[0] != 12*ms {
		t.Fatalf("%v at %v", b.records, b.times)
	}
	d := b.records[0].GetDns()
	got := fmt.Sprintf("%s:%d %s:%d %s %d id=%#x %v%v%v%v%v %d %d again=%d %s", d.Client.Address, d.Client.Port, d.Server.Address, d.Server.Port,
		d.Protocol, d.Netns, d.Id, d.RecursionDesired, d.RecursionAvailable, d.Authoritative, d.AuthenticData, d.Truncated,
		d.QueryBytes, d.AnswerBytes, d.Retransmits, d.Type)
	if want := "127.0.0.1:5000 127.0.0.53:53 udp 99 id=0x1234 truetruefalsefalsefalse 19 35 again=1 A"; got != want {
		t.Errorf("record %s\nwant   %s", got, want)
	}
	if b.names.Of(99, b.names.head.next.place.addr, "process-7", 12*ms) != "a" {
		t.Error("the name is not remembered")
	}
}

// TestNothingLearntFromStrangers: an answer that nobody asked for names nothing.
func TestNothingLearntFromStrangers(t *testing.T) {
	b := newBench()
	b.packet(head(1, false, 10*ms), query1("a"))
	b.packet(head(1, true, 11*ms), answer1("b", 0, "\x01\x02\x03\x04"))
	b.packet(head(2, true, 11*ms), answer1("a", 0, "\x01\x02\x03\x04"))
	if len(b.names.places) != 0 {
		t.Errorf("learnt %v", b.names.places)
	}
}

func TestUndecoded(t *testing.T) {
	b := newBench()
	for _, raw := range hostileQuestions {
		b.packet(head(1, false, 10*ms), raw)
		b.packet(head(1, true, 10*ms), raw)
	}
	if n, reason := b.Undecoded(); n != uint64(2*len(hostileQuestions)) || reason == "" || len(b.records) != 0 {
		t.Errorf("%d of %d counted (%s), %d records", n, 2*len(hostileQuestions), reason, len(b.records))
	}
	b.packet(head(1, true, 11*ms), answer1("a", 0, "\x01\x02\x03\x04")[:30])
	if n, _ := b.Undecoded(); n != uint64(2*len(hostileQuestions))+1 || len(b.records) != 1 || b.records[0].GetDns().AnswersOmitted != 1 {
		t.Errorf("an answer that is cut: %d counted, %v", n, b.records)
	}
}

func TestBounded(t *testing.T) {
	b := newBench()
	for i := range 3 * maxQueries {
		b.packet(head(uint64(i), false, uint64(i)*ms/10), query1("a"))
		if n := len(b.byKey); n > maxQueries {
			t.Fatalf("%d queries are kept", n)
		}
	}
	b.check(t)
	if len(b.records) != 2*maxQueries || b.records[0].GetDns().Outcome != "abandoned" {
		t.Errorf("%d told, want %d abandoned", len(b.records), 2*maxQueries)
	}
	b.Expire(uint64(time.Minute))
	if len(b.records) != 3*maxQueries || len(b.byKey) != 0 {
		t.Errorf("%d told of %d, %d left", len(b.records), 3*maxQueries, len(b.byKey))
	}
}

// TestCrowded: of the queries with one id the oldest are given up, and told.
func TestCrowded(t *testing.T) {
	b := newBench()
	for i := range maxPerKey + 2 {
		b.packet(head(1, false, uint64(i)*ms), query1(fmt.Sprint("n", i)))
	}
	b.want(t, "abandoned n0 16ms by 7; abandoned n1 16ms by 7")
	b.check(t)
	b.records = nil
	b.packet(head(1, true, 20*ms), answer1("n2", 0))
	b.packet(head(1, true, 20*ms), answer1("n1", 0))
	b.want(t, "answered n2 NOERROR 18ms by 7; unmatched n1 NOERROR 0ms")
	b.Expire(6000 * ms)
	b.records = nil
	for i := range maxPerKey { // those that were told make room first, silently
		b.packet(head(1, false, 6001*ms), query1(fmt.Sprint("m", i)))
	}
	b.want(t, "")
	b.check(t)
}

// TestOneID: a process that asks for long names with one id, which differ at their end,
// costs about what one costs that uses the ids as it should.
func TestOneID(t *testing.T) {
	const n = 3 * maxQueries
	label := "\x3f" + strings.Repeat("x", 63)
	queries := make([][]byte, n)
	for i := range queries {
		queries[i] = wire(header(0x0100, 1, 0), fmt.Sprintf("%s\x05%05d\x00\x00\x01\x00\x01", strings.Repeat(label, 3), i))
	}
	cost := func(socket func(i int) uint64) time.Duration {
		best := time.Hour
		for range 3 {
			table := New(NewNames(), func(uint64, *skepv1.Record) {})
			began := time.Now()
			for i, q := range queries {
				h := head(socket(i), false, uint64(i)*ms/100)
				h.Length = uint32(len(q))
				table.Apply(h, q, resolve)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	ordinary, hostile := cost(func(i int) uint64 { return uint64(i) }), cost(func(int) uint64 { return 1 })
	if hostile > 5*ordinary {
		t.Errorf("%d queries with one id take %v, with one each %v", n, hostile, ordinary)
	}
}

// TestTCP: queries in one connection, out of order, in pieces.
func TestTCP(t *testing.T) {
	b := newBench()
	sequence := map[bool]uint32{false: 100, true: 7000}
	send := func(in bool, ns uint64, bytes []byte) {
		h := head(1, in, ns)
		h.Protocol, h.Sequence = unix.IPPROTO_TCP, sequence[in]
		sequence[in] += uint32(len(bytes))
		b.packet(h, bytes)
	}
	both := framed(string(query1("a")), string(query1("b")))
	send(false, 10*ms, both[:1])
	send(false, 11*ms, both[1:30])
	send(false, 12*ms, both[30:])
	answers := framed(string(answer1("b", 3)), string(answer1("a", 0, "\x01\x02\x03\x04")))
	send(true, 20*ms, answers[:2])
	send(true, 22*ms, answers[2:])
	b.want(t, "answered b NXDOMAIN 10ms by 7; answered a NOERROR 1.2.3.4 11ms by 7")
	if b.records[0].GetDns().Protocol != "tcp" {
		t.Error("not over TCP")
	}
}

// TestPauseTCP: what was not complete when nobody looked any more does not spoil what comes
// later over the same connection.
func TestPauseTCP(t *testing.T) {
	b := newBench()
	send := func(sequence uint32, ns uint64, bytes []byte) {
		h := head(1, false, ns)
		h.Protocol, h.Sequence = unix.IPPROTO_TCP, sequence
		b.packet(h, bytes)
	}
	a, c := framed(string(query1("a"))), framed(string(query1("c")))
	send(100, 10*ms, a[:5])
	b.Pause(11 * ms)
	send(5000, 12*ms, c)
	b.Abandon(13 * ms)
	b.want(t, "abandoned c 1ms by 7")
	if n, reason := b.Undecoded(); n != 0 {
		t.Errorf("%d not decoded: %s", n, reason)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(query1("a"), answer1("a", 0, "\x01\x02\x03\x04"), byte(0))
	f.Add(framed(string(query1("a"))), framed(string(answer1("a", 3))), byte(1))
	f.Add(query1("a")[:14], answer1("a", 0)[:20], byte(2))
	f.Fuzz(func(t *testing.T, asked, answered []byte, how byte) {
		b := newBench()
		for i, payload := range [][]byte{asked, answered, asked, answered} {
			h := head(1, i&1 == 1, uint64(i)*ms)
			if how&1 != 0 {
				h.Protocol = unix.IPPROTO_TCP
			}
			h.Length, h.Captured = uint32(len(payload))+uint32(how), uint16(len(payload))
			b.Apply(h, payload, resolve)
		}
		b.check(t)
		b.Expire(uint64(time.Hour))
		b.check(t)
		if len(b.byKey) != 0 {
			t.Errorf("%d queries are left", len(b.byKey))
		}
	})
}

func BenchmarkTransaction(b *testing.B) {
	table := New(NewNames(), func(uint64, *skepv1.Record) {})
	asked, answered := query1("example"), answer1("example", 0, "\x01\x02\x03\x04")
	process := &skepv1.Process{}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		out, in := head(i, false, i*ms), head(i, true, i*ms+1)
		out.Length, in.Length = uint32(len(asked)), uint32(len(answered))
		table.Apply(out, asked, func(abi.ExecID) *skepv1.Process { return process })
		table.Apply(in, answered, nil)
	}
}

// TestNoNamespace: an address means nothing as long as it is not known where.
func TestNoNamespace(t *testing.T) {
	b := newBench()
	asked := head(1, false, 10*ms)
	asked.Netns = 0
	b.packet(asked, query1("a"))
	b.packet(head(1, true, 12*ms), answer1("a", 0, "\x01\x02\x03\x04"))
	if len(b.records) != 1 || len(b.names.places) != 0 {
		t.Errorf("%d records, %d names", len(b.records), len(b.names.places))
	}
}
