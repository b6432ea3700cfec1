// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
)

// Timeout is how long an answer is waited for before its query is told to have none.
const Timeout = 5 * time.Second

const (
	// maxQueries bounds those that are waited for, and those that were.
	maxQueries = 8192
	// maxPerKey bounds those with one key, which are told apart one by one: a process may
	// ask for any number of names with one id.
	maxPerKey = 16
	// lateFor is how long after its query a late answer is still recognised.
	lateFor = 30 * time.Second
	// grace is more than an answer takes from the ring to here.
	grace = 200 * time.Millisecond
	// silentFor is how long a TCP stream is kept without a segment.
	silentFor = 30 * time.Second
)

// Publish takes a record whose kind, process and body are set, and the boot time in
// nanoseconds of what it tells.
type Publish func(bootNS uint64, r *skepv1.Record)

// Table is the queries of one host that wait for their answers.
type Table struct {
	publish Publish
	names   *Names
	byKey   map[key]*query
	waiting queue // for an answer
	told    queue // to have none, but a late one
	streams streams
	sweptNS uint64 // when silent streams were last looked for

	undecoded uint64
	reason    string // of the last one
}

// New returns an empty table that hands its records to publish and tells names what it
// learns.
func New(names *Names, publish Publish) *Table {
	return &Table{
		publish: publish, names: names, byKey: map[key]*query{},
		streams: streams{open: map[streamKey]*stream{}},
	}
}

// Apply takes a packet: the kernel side's record and as much of its payload as there is.
// The payload is not kept.
func (t *Table) Apply(head *abi.DNSRecord, payload []byte, resolve flow.Resolve) {
	if head.Protocol == unix.IPPROTO_UDP {
		t.message(head, payload, int(head.Length), resolve)
		return
	}
	key := streamKey{head.Socket, incoming(head)}
	g := segment{sequence: head.Sequence, data: payload, length: int(head.Length), ns: head.Header.BootNS}
	t.streams.feed(key, g, func(wire []byte, length int) { t.message(head, wire, length, resolve) })
}

func incoming(head *abi.DNSRecord) bool { return head.Flags&uint8(abi.DNSIncoming) != 0 }

func (t *Table) message(head *abi.DNSRecord, wire []byte, length int, resolve flow.Resolve) {
	m, err := parse(wire, length)
	if err == nil && m.reason != "" && m.reason != tooMany {
		t.undecoded++
		t.reason = "answers: " + m.reason
	}
	switch {
	case err != nil:
		t.undecoded++
		t.reason = err.Error()
	case m.response() && incoming(head):
		t.answer(head, &m, length)
	case !m.response() && !incoming(head):
		t.ask(head, m, length, resolve)
	}
	// Else a server of this host talks to a client that uses a server's port.
}

func keyOf(head *abi.DNSRecord, id uint16) key {
	return key{head.Socket, flow.EndAt(&head.Remote, head.RemotePort), id}
}

func (t *Table) ask(head *abi.DNSRecord, m message, length int, resolve flow.Resolve) {
	k := keyOf(head, m.id)
	if q := t.find(k, &m); q != nil {
		if !q.told {
			q.sent++
			return
		}
		t.forget(q) // and asked anew
	}
	if oldest := t.crowding(k); oldest != nil {
		t.drop(oldest, head.Header.BootNS)
	}
	if t.waiting.n+t.told.n >= maxQueries {
		t.makeRoom()
	}
	q := &query{key: k, head: *head, message: m, bytes: length, sameKey: t.byKey[k]}
	if head.Owner.Tgid != 0 {
		q.process = resolve(head.Owner)
	}
	t.byKey[k] = q
	t.waiting.push(q)
}

func (t *Table) answer(head *abi.DNSRecord, m *message, length int) {
	q := t.find(keyOf(head, m.id), m)
	if q == nil {
		t.publish(head.Header.BootNS, unmatched(head, m, length))
		return
	}
	t.forget(q)
	t.remember(q, m, head.Header.BootNS)
	t.publish(head.Header.BootNS, answered(q, head, m, length))
}

// remember lets the addresses of an answer be known by the name that was asked for.
func (t *Table) remember(q *query, m *message, nowNS uint64) {
	if q.head.Netns == 0 {
		return // where the addresses mean anything is not known
	}
	for _, a := range m.addresses {
		t.names.learn(place{q.head.Netns, a.addr}, bare(q.message.name), q.process.GetProcessId(), a.ttl, nowNS)
	}
}

func (t *Table) find(k key, m *message) *query {
	for q := t.byKey[k]; q != nil; q = q.sameKey {
		if q.asks(m) {
			return q
		}
	}
	return nil
}

func (t *Table) forget(q *query) {
	if q.told {
		t.told.remove(q)
	} else {
		t.waiting.remove(q)
	}
	head := t.byKey[q.key]
	switch {
	case head == q && q.sameKey == nil:
		delete(t.byKey, q.key)
	case head == q:
		t.byKey[q.key] = q.sameKey
	default:
		for ; head.sameKey != q; head = head.sameKey {
		}
		head.sameKey = q.sameKey
	}
}

// crowding is the oldest of the queries with a key, if they are as many as may be.
func (t *Table) crowding(k key) *query {
	n := 0
	for q := t.byKey[k]; q != nil; q = q.sameKey {
		if n++; n == maxPerKey {
			return q
		}
	}
	return nil
}

// makeRoom forgets the oldest query: one that was told of, else one that was not.
func (t *Table) makeRoom() {
	if q := t.told.first; q != nil {
		t.forget(q)
		return
	}
	t.abandon(t.waiting.first, t.waiting.last.head.Header.BootNS)
}

// drop forgets a query, and tells of it if it was not told of yet.
func (t *Table) drop(q *query, nowNS uint64) {
	if q.told {
		t.forget(q)
		return
	}
	t.abandon(q, nowNS)
}

func (t *Table) abandon(q *query, nowNS uint64) {
	t.forget(q)
	t.publish(nowNS, without(q, "abandoned", nowNS))
}

// Expire tells of the queries that have waited for their answer for too long at a boot
// time, which is that of the last packet or later.
func (t *Table) Expire(nowNS uint64) {
	nowNS = max(nowNS, uint64(grace)) - uint64(grace)
	for q := t.waiting.first; q != nil && q.head.Header.BootNS+uint64(Timeout) <= nowNS; q = t.waiting.first {
		t.waiting.remove(q)
		q.told = true
		t.told.push(q)
		at := q.head.Header.BootNS + uint64(Timeout)
		t.publish(at, without(q, "unanswered", at))
	}
	for q := t.told.first; q != nil && q.head.Header.BootNS+uint64(lateFor) <= nowNS; q = t.told.first {
		t.forget(q)
	}
	if nowNS > t.sweptNS+uint64(silentFor) {
		t.streams.expire(nowNS - uint64(silentFor))
		t.sweptNS = nowNS
	}
}

// Abandon tells of all queries that still wait, because nobody will.
func (t *Table) Abandon(nowNS uint64) {
	for t.waiting.first != nil {
		t.abandon(t.waiting.first, nowNS)
	}
}

// Pause is Abandon, and what of TCP streams was not complete is forgotten: packets go by
// unseen from now on, until Apply is called again.
func (t *Table) Pause(nowNS uint64) {
	t.Abandon(nowNS)
	for t.told.first != nil {
		t.forget(t.told.first)
	}
	t.streams.open, t.streams.buffered = map[streamKey]*stream{}, 0
}

// Undecoded is how many messages could not be decoded, in part or at all, and why the
// last one could not.
func (t *Table) Undecoded() (n uint64, reason string) {
	reason = t.reason
	if reason == "" {
		reason = "segments of a TCP stream are missing"
	}
	return t.undecoded + t.streams.lost, reason
}
