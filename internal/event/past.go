// SPDX-License-Identifier: Apache-2.0

package event

import (
	"slices"
	"time"
)

// disorder is how far the wall times of neighbours in the log may be apart in
// the wrong direction: records of several rings arrive in batches.
const disorder = time.Second

// view is the content of a log at one moment. What it shows does not change:
// the writer only adds behind it, and dropped chunks stay alive in it.
type view struct {
	chunks []*chunk
	tail   int // records of the last chunk
}

// Reaches says whether the log still holds all that was appended since a time.
func (l *Log) Reaches(since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.chunks[0]
	return oldest.n > 0 && oldest.records[0].GetTime().AsTime().Add(disorder).Before(since)
}

// Oldest is the time of the oldest record that the log holds; zero if it is empty.
func (l *Log) Oldest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := l.chunks[0]; oldest.n > 0 {
		return oldest.records[0].GetTime().AsTime()
	}
	return time.Time{}
}

func viewOf(chunks []*chunk) view {
	return view{chunks: slices.Clone(chunks), tail: chunks[len(chunks)-1].n}
}

// rewind moves the cursor back to where its options say that it starts: with
// Last at a record that matches, so that nothing is lost but what is wanted.
func (c *Cursor) rewind(past view) {
	wanted := c.opts.Last
	for i := len(past.chunks) - 1; i >= 0; i-- {
		from, n := past.chunks[i], chunkLen
		if i == len(past.chunks)-1 {
			n = past.tail
		}
		at, done := c.searchBack(from, n, &wanted)
		if at < n {
			c.next, c.seen = from.first+uint64(at), from.countsAt(at)
		}
		if done {
			return
		}
	}
}

// searchBack goes back through the first n records of a chunk until it has met
// enough matching ones, or one that is too old. It returns the index to start
// at, which is n if there is nothing in this chunk to start with.
func (c *Cursor) searchBack(from *chunk, n int, wanted *int) (at int, done bool) {
	at = n
	for i := n - 1; i >= 0; i-- {
		if !c.opts.Since.IsZero() && from.records[i].GetTime().AsTime().Before(c.opts.Since.Add(-disorder)) {
			return at, true
		}
		if c.opts.Last == 0 {
			at = i
		} else if c.wants(i, from) {
			at = i
			if from.kinds[i] == Loss && c.opts.UncountedLosses {
				continue // tells of a gap, and is not what was asked for
			}
			c.past++
			if *wanted--; *wanted == 0 {
				return at, true
			}
		}
	}
	return at, false
}

func (c *Cursor) wants(i int, from *chunk) bool {
	r := from.records[i]
	return c.opts.Kinds.Has(from.kinds[i]) && c.recent(r) && (c.opts.Match == nil || c.opts.Match(r))
}
