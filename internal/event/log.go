// SPDX-License-Identifier: Apache-2.0

package event

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"unsafe"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// DefaultLogBytes is the default budget of a Log: about 30,000 short records.
const DefaultLogBytes = 16 << 20

// LogOptions are the parameters of a Log.
type LogOptions struct {
	// Bytes is the memory that the records may use, as Size estimates it.
	// 0 means DefaultLogBytes.
	Bytes int
}

// Log is the recent past and the fan-out in one structure: see the package
// comment. Its methods may be called from any goroutine.
type Log struct {
	budget int

	mu       sync.Mutex
	chunks   []*chunk // oldest first, never empty
	bytes    int
	counts   Counts // what all that was ever appended tells
	cursors  map[uint64]*Cursor
	lastID   uint64
	closed   bool
	flushed  chan struct{} // closed and replaced to wake the waiting cursors
	waiting  int
	appended bool // since the last wake-up
}

// NewLog makes an empty log.
func NewLog(opts LogOptions) *Log {
	return &Log{
		budget:  cmp.Or(opts.Bytes, DefaultLogBytes),
		chunks:  []*chunk{{}},
		cursors: map[uint64]*Cursor{},
		flushed: make(chan struct{}),
	}
}

// Append adds a record, which nobody may change from now on. Readers are not
// woken before Flush, or before a chunk is full, so that a burst costs them
// one wake-up; whoever appends calls Flush at the end of each batch.
func (l *Log) Append(k Kind, r *skepv1.Record) {
	size := Size(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	tail := l.chunks[len(l.chunks)-1]
	if tail.n == chunkLen {
		tail = l.grow(tail)
	}
	tail.kinds[tail.n], tail.records[tail.n] = k, r
	tail.n++
	tail.bytes += size
	l.bytes += size
	tell(&l.counts, k, r)
	l.appended = true
}

// grow starts a new chunk and drops the oldest ones that exceed the budget.
// Cursors on a dropped chunk notice by themselves.
func (l *Log) grow(tail *chunk) *chunk {
	next := &chunk{first: tail.first + chunkLen, before: l.counts}
	next.bytes = int(unsafe.Sizeof(*next))
	l.chunks = append(l.chunks, next)
	l.bytes += next.bytes
	drop := 0
	for l.bytes > l.budget && drop < len(l.chunks)-1 {
		l.bytes -= l.chunks[drop].bytes
		drop++
	}
	l.chunks = slices.Delete(l.chunks, 0, drop)
	l.wake()
	return next
}

// Flush wakes the readers that wait for what was appended.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

func (l *Log) wake() {
	if l.appended && l.waiting > 0 {
		close(l.flushed)
		l.flushed, l.waiting = make(chan struct{}), 0
	}
	l.appended = false
}

// Close ends the log: cursors deliver what is there and then end with io.EOF.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.appended = true, true
	l.wake()
}

// SetBudget changes the memory that the records may use, in bytes. A smaller one is in
// force when the chunk that is being filled is full.
func (l *Log) SetBudget(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget = cmp.Or(bytes, DefaultLogBytes)
}

// LogStats says how full a log is.
type LogStats struct {
	Records uint64 // held now
	Bytes   uint64 // held now, as Size estimates it
	Budget  uint64
}

// Stats says how full the log is.
func (l *Log) Stats() LogStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LogStats{
		Records: l.head() - l.chunks[0].first, Bytes: uint64(l.bytes), Budget: uint64(l.budget),
	}
}

// CursorStats says who reads a log and how that goes.
type CursorStats struct {
	ID        uint64
	Who       string
	Filter    string
	Since     time.Time
	Delivered uint64 // matching records handed out
	Lost      uint64 // records of the wanted kinds that were overwritten first
}

// Cursors says who reads the log, oldest first.
func (l *Log) Cursors() []CursorStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := make([]CursorStats, 0, len(l.cursors))
	for _, c := range l.cursors {
		stats = append(stats, c.stats())
	}
	slices.SortFunc(stats, func(a, b CursorStats) int { return cmp.Compare(a.ID, b.ID) })
	return stats
}

// head is the position after the newest record.
func (l *Log) head() uint64 {
	tail := l.chunks[len(l.chunks)-1]
	return tail.first + uint64(tail.n)
}
