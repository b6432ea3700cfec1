// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// Count calls add with the kind and the time, in ns, of each record that matches; the record
// itself is given for losses only, else nil. Where a filter asks for nothing but kinds, no
// records are put together: of a segment the one column of times is read.
//
// It goes from the latest file to the oldest, in no order within one. If ctx ends before,
// that is no error: counted is then the time from which on everything was counted. Else it is
// the time of the oldest record that is stored; zero if there is none.
func (p *Past) Count(ctx context.Context, from, until time.Time, filter *filters.Filter, add func(kind string, ns int64, loss *skepv1.Record)) (counted time.Time, missing []Missing, err error) {
	c := &counter{merge: merge{past: p, query: newQuery(from, until, filter)}, add: add, byKind: filter.OnlyKinds()}
	parts := slices.Clone(p.parts)
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(b.span.to, a.span.to) })
	for i := range parts {
		part := &parts[i]
		if !part.span.meets(c.query.span) || part.log == nil && !c.query.kinds[part.segment.kind] {
			continue
		}
		if err := c.part(ctx, part); err != nil {
			if ctx.Err() != nil {
				// The others do not reach further than this one.
				return time.Unix(0, min(part.span.to, c.query.span.to)+1), c.missing, nil
			}
			c.miss(part, err)
		}
	}
	return p.Oldest(), c.missing, nil
}

// counter counts the records of one part after the other.
type counter struct {
	merge
	add    func(kind string, ns int64, loss *skepv1.Record)
	byKind bool
}

func (c *counter) part(ctx context.Context, p *part) error {
	switch {
	case p.log != nil && c.byKind:
		return c.openLog(ctx, p.log, p.size)
	case p.log == nil && c.byKind && p.segment.kind != event.Loss.String():
		return c.segment(ctx, p.segment)
	}
	return c.records(ctx, p)
}

// records counts what has to be put together to know whether it matches.
func (c *counter) records(ctx context.Context, p *part) error {
	in := input{part: p}
	if !c.open(&in) {
		return nil
	}
	defer in.source.close()
	for i := 0; ; i++ {
		if i%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r, err := in.source.next()
		if err != nil {
			return ignoreEOF(err)
		}
		c.record(r)
	}
}

func (c *counter) record(r *skepv1.Record) {
	if r.GetLoss() != nil {
		c.add(r.GetKind(), timeOf(r), r)
		return
	}
	c.add(r.GetKind(), timeOf(r), nil)
}

// openLog counts the records of a log, of which it decodes losses only.
func (c *counter) openLog(ctx context.Context, f *os.File, size int64) error {
	source, err := openLogSource(f, size, c.query)
	if err != nil {
		return err
	}
	var wire []byte
	for n := 0; ; {
		payload, first, err := source.frames.next()
		if err != nil {
			return ignoreEOF(err)
		}
		_, err = source.in.read(payload, first, func(s stored) error {
			if n++; n%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			h, err := s.head()
			if err != nil || !c.query.span.has(h.time) || !c.query.kinds[string(h.kind)] {
				return nil
			}
			if string(h.kind) != event.Loss.String() {
				c.add(string(h.kind), h.time, nil)
				return nil
			}
			wire = s.wire(wire[:0])
			if r := (&skepv1.Record{}); proto.Unmarshal(wire, r) == nil && c.query.match(r) {
				c.record(r)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEntry) { // those were counted when the log was scanned
			return err
		}
	}
}

// segment counts the rows of a segment by their time.
func (c *counter) segment(ctx context.Context, of segment) error {
	s, err := openSegment(c.past.store.opts.Dir, of, c.query)
	if s == nil || err != nil {
		return err
	}
	defer s.close()
	return s.guard(func() error { return s.times(ctx, func(ns int64) { c.add(of.kind, ns, nil) }) })
}

// times calls visit with the time of each row that may match.
func (s *segmentSource) times(ctx context.Context, visit func(ns int64)) error {
	f := s.schema.find("time")
	if f == nil {
		return errors.New("no column time")
	}
	pages := s.group.ColumnChunks()[f.column].Pages()
	defer pages.Close()
	row := int64(0)
	for row < s.total {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		page, err := pages.ReadPage()
		if err != nil {
			return fmt.Errorf("column time: %w", errors.Join(errShort, ignoreEOF(err)))
		}
		n := page.NumRows()
		var flat flatPage
		if row+n > s.total || !flat.open(page, parquet.Int64, f.definition) {
			return errLevels
		}
		flat.each(func(rank, at int) {
			if s.wanted.has(row + int64(at)) {
				visit(flat.value(rank).Int64())
			}
		})
		parquet.Release(page)
		row += n
	}
	return nil
}
