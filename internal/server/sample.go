// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// sampleWindow is how long a sampled stream collects before it sends, unless
// the rate is below one record in that time.
const sampleWindow = 100 * time.Millisecond

// sampler keeps a uniform sample of the records of a window, in their order:
// reservoir sampling (Vitter's algorithm R). Records about skep itself are
// always kept and do not count.
type sampler struct {
	quota  int
	window time.Duration
	seen   int
	kept   []sampled
	always []sampled
	order  int
}

type sampled struct {
	order  int
	record *skepv1.Record
}

func newSampler(perSecond uint32) *sampler {
	window := max(sampleWindow, time.Second/time.Duration(perSecond))
	return &sampler{quota: max(1, int(time.Duration(perSecond)*window/time.Second)), window: window}
}

func (s *sampler) add(r *skepv1.Record) {
	s.order++
	item := sampled{s.order, r}
	if k, ok := event.KindOf(r); ok && (k == event.Loss || k == event.Agent) {
		s.always = append(s.always, item)
		return
	}
	s.seen++
	if len(s.kept) < s.quota {
		s.kept = append(s.kept, item)
	} else if i := rand.IntN(s.seen); i < s.quota {
		s.kept[i] = item
	}
}

// drain returns the sample, and how many records are not in it, and starts over.
func (s *sampler) drain() (records []*skepv1.Record, out uint64) {
	out = uint64(s.seen - len(s.kept))
	all := append(s.always, s.kept...)
	slices.SortFunc(all, func(a, b sampled) int { return cmp.Compare(a.order, b.order) })
	for _, item := range all {
		records = append(records, item.record)
	}
	s.seen, s.kept, s.always, s.order = 0, nil, nil, 0
	return records, out
}

// followSampled is follow with at most so many records a second. A window
// begins with the first record after the previous one has been sent.
func (o *observation) followSampled(ctx context.Context, s *sampler) error {
	for {
		if err := o.collect(ctx, s); err != nil {
			return err
		}
		records, out := s.drain()
		n := batchLen(records)
		if err := o.send(&skepv1.ObserveResponse{Records: records[:n], SampledOut: out}); err != nil {
			return err
		}
		if err := o.sendAll(records[n:]); err != nil {
			return err
		}
	}
}

// collect gathers the records of one window.
func (o *observation) collect(ctx context.Context, s *sampler) error {
	if err := o.collectOnce(ctx, s); err != nil {
		return err
	}
	window, cancel := context.WithTimeout(ctx, s.window)
	defer cancel()
	for {
		err := o.collectOnce(window, s)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (o *observation) collectOnce(ctx context.Context, s *sampler) error {
	records, err := o.next(ctx)
	for _, r := range records {
		s.add(r)
	}
	return err
}
