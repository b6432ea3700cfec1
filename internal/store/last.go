// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// Last returns at most the last n records that match, by time, and the losses between them
// as a cursor of the event log does. It goes back period by period until it has enough,
// so what is recent is found soon. It fails with event.ErrTailTooLarge.
func (p *Past) Last(ctx context.Context, n int, from, until time.Time, filter *filters.Filter) (found []*skepv1.Record, missing []Missing, err error) {
	q := newQuery(from, until, filter)
	whole, counted, bytes := q.span, 0, 0
	for _, begin := range p.begins() {
		if q.span.from = max(begin, whole.from); q.span.from > q.span.to {
			continue
		}
		recent := event.Tail{Size: n - counted, Counts: filter.Counts, Limit: event.MaxTailBytes - bytes}
		gone, err := p.read(ctx, q, recent.Add)
		missing = distinctFiles(missing, gone)
		found, counted = append(recent.Records(), found...), counted+recent.Counted()
		bytes += recent.Bytes()
		if err != nil || counted >= n || q.span.from == whole.from {
			return found, missing, err
		}
		q.span.to = q.span.from - 1
	}
	return found, missing, nil
}

// begins are the times at which periods begin, latest first.
func (p *Past) begins() (all []int64) {
	for _, part := range p.parts {
		all = append(all, part.span.from)
	}
	slices.SortFunc(all, func(a, b int64) int { return cmp.Compare(b, a) })
	all = slices.Compact(all)
	// The parts of a period do not begin at quite the same time.
	apart := int64(time.Minute)
	kept, last := all[:0], int64(math.MaxInt64)
	for i, t := range all {
		if i == len(all)-1 || last-t > apart {
			kept, last = append(kept, t), t
		}
	}
	return kept
}

// distinctFiles adds those files to missing that are not in it: one that spans several
// periods is met by several reads.
func distinctFiles(missing, more []Missing) []Missing {
	for _, m := range more {
		if !slices.ContainsFunc(missing, func(other Missing) bool { return other.File == m.File }) {
			missing = append(missing, m)
		}
	}
	return missing
}
