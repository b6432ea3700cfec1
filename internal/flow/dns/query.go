// SPDX-License-Identifier: Apache-2.0

package dns

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
)

// key is what an answer has in common with its query.
type key struct {
	socket uint64
	server flow.End
	id     uint16
}

// query is one whose answer may still come.
type query struct {
	key     key
	head    abi.DNSRecord // of its packet
	process *skepv1.Process
	message message
	bytes   int
	sent    uint32 // times, after the first
	told    bool   // that there was no answer

	sameKey    *query // the one before it with this key; at most maxPerKey
	prev, next *query // by time
}

// asks tells whether an answer belongs to this query. Servers may leave the question out
// where they could not read it, and change the case of its name.
func (q *query) asks(m *message) bool {
	return m.name == "" || m.qtype == q.message.qtype && m.class == q.message.class && m.folded == q.message.folded
}

// queue is queries in the order of their time.
type queue struct {
	first, last *query
	n           int
}

func (l *queue) push(q *query) {
	q.prev, q.next = l.last, nil
	if l.last != nil {
		l.last.next = q
	} else {
		l.first = q
	}
	l.last = q
	l.n++
}

func (l *queue) remove(q *query) {
	if q.prev != nil {
		q.prev.next = q.next
	} else {
		l.first = q.next
	}
	if q.next != nil {
		q.next.prev = q.prev
	} else {
		l.last = q.prev
	}
	q.prev, q.next = nil, nil
	l.n--
}
