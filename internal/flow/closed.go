// SPDX-License-Identifier: Apache-2.0

package flow

import "github.com/skep-io/skep/internal/abi"

// queue is the closed connections, oldest first, in a ring that grows to its bound.
type queue struct {
	ring  []*conn
	first int
	n     int
}

// bury remembers a connection that is over, and forgets those that are over for too
// long or are too many.
func (t *Table) bury(c *conn, e *abi.TcpRecord) {
	if t.options.MaxClosed <= 0 {
		return
	}
	last := *e
	c.last, c.closedNS = &last, e.Header.BootNS
	t.expire(e.Header.BootNS)
	if t.closed.n == t.options.MaxClosed {
		t.closed.pop()
	}
	t.closed.push(c)
}

func (t *Table) expire(now uint64) {
	keep := uint64(t.options.ClosedFor.Nanoseconds())
	for t.closed.n > 0 && now > keep && t.closed.at(0).closedNS < now-keep {
		t.closed.pop()
	}
}

func (q *queue) at(i int) *conn { return q.ring[(q.first+i)%len(q.ring)] }

func (q *queue) pop() {
	c := q.ring[q.first]
	if c.other != nil && c.other.last != nil {
		c.other.other = nil // keeps no chain of the dead alive
	}
	q.ring[q.first] = nil
	q.first = (q.first + 1) % len(q.ring)
	q.n--
}

func (q *queue) push(c *conn) {
	if q.n == len(q.ring) {
		grown := make([]*conn, max(64, 2*q.n))
		for i := range q.n {
			grown[i] = q.at(i)
		}
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.n)%len(q.ring)] = c
	q.n++
}
