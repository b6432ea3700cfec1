// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math"
	"sync"
	"time"
)

// What one caller may take from the agent. Any local user can connect, with a
// role or without one, so all of it is bounded.
const (
	// Streams: each is a goroutine, a cursor and at most one batch in flight.
	maxStreamsPerUID = 64
	// Other calls at a time: each may hold a whole table until its client has read it.
	maxCallsPerUID = 32
	// Searches of the disk log: each reads many files at once, and may hold
	// event.MaxTailBytes. A client that does not read holds one up.
	maxSearchesPerUID = 4
	maxSearches       = 8
	// Measurements of Top: each counts every record on the goroutine that empties the rings,
	// and asks /proc for every process each time.
	maxTopsPerUID = 8
	maxTops       = 16
	// Connections: each is a file descriptor and some buffers. Root is exempt,
	// so that whoever floods the socket cannot keep the administrator out.
	maxConnsPerUID = 64
	maxConns       = 1024
	// Those of users without a role, who only need to be told so.
	maxStrangerConnsPerUID = 2
	maxStrangerConns       = 32
	strangerStays          = 5 * time.Second
	// HTTP/2 streams of one connection.
	maxStreamsPerConn = 100

	maxRequestBytes   = 1 << 20
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	// The whole request of a call, which is one small message.
	readRequestTimeout = 10 * time.Second
	// The whole answer to a call that is not a stream, and each message of an export.
	writeAnswerTimeout = 30 * time.Second
	idleTimeout        = 2 * time.Minute
)

// limiter counts what each uid holds, and all of them.
type limiter struct {
	perUID, total int

	mu   sync.Mutex
	held map[uint32]int
	all  int
}

func newLimiter(perUID int) *limiter {
	return &limiter{perUID: perUID, total: math.MaxInt, held: map[uint32]int{}}
}

// within also bounds what all hold together.
func (l *limiter) within(total int) *limiter {
	l.total = total
	return l
}

// acquire takes one of uid's places, if there is one.
func (l *limiter) acquire(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[uid] >= l.perUID || l.all >= l.total {
		return false
	}
	l.held[uid]++
	l.all++
	return true
}

func (l *limiter) release(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.held[uid]--; l.held[uid] <= 0 {
		delete(l.held, uid)
	}
}
