// SPDX-License-Identifier: Apache-2.0

package event

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// SubscribeOptions say what a cursor delivers and where it starts.
type SubscribeOptions struct {
	// Who and Filter describe the reader in CursorStats.
	Who, Filter string
	// Kinds are those that are delivered, and whose loss is reported. 0 means all.
	Kinds KindSet
	// Match selects among the records of Kinds; nil selects all of them. It
	// runs outside the log's lock: its cost is the reader's own.
	Match func(*skepv1.Record) bool
	// Last is how many matching records of the past to start with at most.
	Last int
	// UncountedLosses: losses do not count as matching records for Last, they come as well.
	UncountedLosses bool
	// Since is the oldest wall time of the past to start with. With neither
	// Last nor Since the cursor starts at now; with both, at the later one.
	Since time.Time
	// From, if set, is where to start instead; what has been overwritten since is lost.
	From *Position
}

// Position is a place in a log: what is before it has been read.
type Position struct {
	next uint64
	seen Counts
}

// Cursor is one reader of a log; it is used by one goroutine at a time.
type Cursor struct {
	log   *Log
	opts  SubscribeOptions
	id    uint64
	since time.Time

	next uint64 // position of the next record to read
	past int    // matching records that it was rewound over for Last
	seen Counts // what was told before next
	live uint64 // position where the past ended when the cursor was made

	mark   uint64 // see Mark; under the log's lock
	marked bool

	delivered, lost atomic.Uint64
}

// Subscribe adds a reader. It must be closed.
func (l *Log) Subscribe(opts SubscribeOptions) *Cursor {
	opts.Kinds = cmp.Or(opts.Kinds, AllKinds)
	c := &Cursor{log: l, opts: opts, since: time.Now()}
	l.mu.Lock()
	l.lastID++
	c.id = l.lastID
	l.cursors[c.id] = c
	c.next, c.live, c.seen = l.head(), l.head(), l.counts
	past := viewOf(l.chunks)
	l.mu.Unlock()

	switch {
	case opts.From != nil:
		c.next, c.seen = opts.From.next, opts.From.seen
	case opts.Last > 0 || !opts.Since.IsZero():
		c.rewind(past)
	}
	return c
}

// Past is how many matching records of the past the cursor begins with, if it was asked
// for the last ones.
func (c *Cursor) Past() int { return c.past }

// Position is where the cursor is.
func (c *Cursor) Position() Position { return Position{c.next, c.seen} }

// Succeed makes a reader with other options that goes on where this one stands, and closes
// this one. Options about the past mean nothing to it.
func (c *Cursor) Succeed(opts SubscribeOptions) *Cursor {
	opts.Kinds = cmp.Or(opts.Kinds, AllKinds)
	next := &Cursor{log: c.log, opts: opts, id: c.id, since: c.since, next: c.next, seen: c.seen, live: c.live}
	next.delivered.Store(c.delivered.Load())
	next.lost.Store(c.lost.Load())
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	next.mark, next.marked = c.mark, c.marked
	c.log.cursors[c.id] = next
	return next
}

// ErrMarked is what Next returns at a mark.
var ErrMarked = errors.New("all before the mark has been read")

// Mark makes Next return ErrMarked, once, when all that is in the log now has been read. It
// may be called from any goroutine.
func (c *Cursor) Mark() {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.mark, c.marked = c.log.head(), true
	c.log.appended = true // else nobody would be woken
	c.log.wake()
}

// Skip moves to the end of the log and returns, by kind, how many records that would have
// been delivered it leaves out, with those that were overwritten before, and those that were
// lost earlier, of which a record that is left out told.
func (c *Cursor) Skip() (left Counts) {
	c.log.mu.Lock()
	end := c.log.head()
	c.marked = false
	c.log.mu.Unlock()
	buf := make([]*skepv1.Record, chunkLen)
	for c.next < end {
		wasLive := c.Live()
		n, lost, _, _ := c.read(buf) // fails only at the end
		for k := range lost {
			left[k] += lost[k]
		}
		for _, r := range buf[:c.match(buf[:n], wasLive)] {
			if k, ok := KindOf(r); ok {
				tell(&left, k, r)
			}
		}
	}
	for k := range left {
		if !c.opts.Kinds.Has(Kind(k)) {
			left[k] = 0
		}
	}
	return left
}

// Close removes the reader from the log.
func (c *Cursor) Close() {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	delete(c.log.cursors, c.id)
}

// Behind is how many records of the log it has not come to yet. It may be called from any
// goroutine.
func (c *Cursor) Behind() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.head() - c.next
}

// ID is the number of the reader in CursorStats.
func (c *Cursor) ID() uint64 { return c.id }

// Live says whether the past, as it was when the cursor was made, has been read.
func (c *Cursor) Live() bool { return c.next >= c.live }

func (c *Cursor) stats() CursorStats {
	return CursorStats{
		ID: c.id, Who: c.opts.Who, Filter: c.opts.Filter, Since: c.since,
		Delivered: c.delivered.Load(), Lost: c.lost.Load(),
	}
}

// Next waits for records and puts those that match into buf, which must not be
// empty. lost counts the records of the wanted kinds that were overwritten
// before the ones in buf, and those that were lost earlier, of which an overwritten record
// told; whether they would have matched is not known. Next
// returns as soon as it has anything to say, which is one of: records, losses,
// or that the past has been read (n is 0 then, once). A batch never holds both
// past and live records. The error is io.EOF after Log.Close, ErrMarked, or that of ctx.
func (c *Cursor) Next(ctx context.Context, buf []*skepv1.Record) (n int, lost Counts, err error) {
	for {
		wasLive := c.Live()
		read, lost, wait, err := c.read(buf)
		if err != nil {
			return 0, lost, err
		}
		n := c.match(buf[:read], wasLive)
		if n > 0 || lost != (Counts{}) || c.Live() != wasLive {
			c.delivered.Add(uint64(n))
			return n, lost, nil
		}
		if wait == nil { // something was read, none of it matched
			if ctx.Err() != nil {
				return 0, Counts{}, ctx.Err()
			}
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, Counts{}, ctx.Err()
		}
	}
}

// read copies records of the wanted kinds out of the log. With nothing left to
// read it returns the channel to wait on.
func (c *Cursor) read(buf []*skepv1.Record) (n int, lost Counts, wait <-chan struct{}, err error) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	lost = c.jump(l.chunks[0])
	if c.marked && c.next >= c.mark && lost == (Counts{}) {
		c.marked = false
		return 0, lost, nil, ErrMarked
	}
	if c.next == l.head() {
		if l.closed && lost == (Counts{}) {
			return 0, lost, nil, io.EOF
		}
		l.waiting++
		return 0, lost, l.flushed, nil
	}
	end := l.head()
	if c.next < c.live {
		end = c.live
	}
	if c.marked {
		end = min(end, max(c.mark, c.next))
	}
	// The scan is bounded also where few records are of the wanted kinds, so
	// that the lock is never held for long.
	end = min(end, c.next+uint64(4*chunkLen))
	for n < len(buf) && c.next < end {
		at := c.next - l.chunks[0].first
		from := l.chunks[at/chunkLen]
		n += c.take(from, int(at%chunkLen), end, buf[n:])
	}
	return n, lost, nil, nil
}

// jump moves a cursor that was overtaken to the oldest chunk.
func (c *Cursor) jump(oldest *chunk) (lost Counts) {
	if c.next >= oldest.first {
		return lost
	}
	for k := range lost {
		if c.opts.Kinds.Has(Kind(k)) {
			lost[k] = oldest.before[k] - c.seen[k]
			c.lost.Add(lost[k])
		}
	}
	c.next, c.seen = oldest.first, oldest.before
	return lost
}

// take copies from one chunk, starting at index i and ending before position end.
func (c *Cursor) take(from *chunk, i int, end uint64, buf []*skepv1.Record) (n int) {
	last := int(min(uint64(from.n), end-from.first))
	for ; i < last && n < len(buf); i++ {
		k := from.kinds[i]
		tell(&c.seen, k, from.records[i])
		c.next++
		if c.opts.Kinds.Has(k) {
			buf[n] = from.records[i]
			n++
		}
	}
	return n
}

// match keeps the records that match, in place.
func (c *Cursor) match(records []*skepv1.Record, live bool) int {
	if c.opts.Match == nil && (live || c.opts.Since.IsZero()) {
		return len(records)
	}
	n := 0
	for _, r := range records {
		if (live || c.recent(r)) && (c.opts.Match == nil || c.opts.Match(r)) {
			records[n] = r
			n++
		}
	}
	return n
}

// recent says whether a record of the past is not older than was asked for.
func (c *Cursor) recent(r *skepv1.Record) bool {
	return c.opts.Since.IsZero() || !r.GetTime().AsTime().Before(c.opts.Since)
}
