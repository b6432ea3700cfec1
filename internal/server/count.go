// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

const (
	// A screen has fewer pixels than this.
	maxSteps = 2000
	minStep  = time.Millisecond
	// How long the disk log is counted before the answer says how far that came.
	countFor = 5 * time.Second
	// Counts that run at a time; others wait for them.
	maxCounting = 2
)

// CountRecords implements the AgentService: what Observe would send of the past, in numbers.
func (s *Server) CountRecords(ctx context.Context, req *skepv1.CountRecordsRequest) (*skepv1.CountRecordsResponse, error) {
	filter, err := s.compile(req.GetFilter())
	if err != nil {
		return nil, err
	}
	steps, err := stepsOf(req)
	if err != nil {
		return nil, err
	}
	select {
	case s.counting <- struct{}{}:
		defer func() { <-s.counting }()
	case <-ctx.Done():
		return nil, connect.NewError(connect.CodeCanceled, ctx.Err())
	}
	defer func() { s.filterFailures.Add(filter.Failures()) }()
	if err := s.count(ctx, req, filter, steps); err != nil {
		return nil, finished(ctx, err)
	}
	res := steps.response()
	res.Undecided = filter.Undecided(0)
	return res, nil
}

// count adds what is on disk, and behind that what is in memory.
func (s *Server) count(ctx context.Context, req *skepv1.CountRecordsRequest, filter *filters.Filter, c *steps) error {
	opts := subscription(callerFrom(ctx), &skepv1.ObserveRequest{Filter: req.GetFilter()}, filter, c.span)
	if s.deps.Store != nil && !s.deps.Log.Reaches(c.span.from) {
		past := s.deps.Store.Past()
		defer past.Close()
		position := past.Position()
		opts.From = &position
		if err := c.stored(ctx, past, filter); err != nil {
			return err
		}
	} else if oldest := s.deps.Log.Oldest(); !s.deps.Log.Reaches(c.span.from) && oldest.After(c.span.from) {
		c.complete = oldest
	}
	cursor := s.deps.Log.Subscribe(opts)
	defer cursor.Close()
	buf := make([]*skepv1.Record, maxBatchRecords)
	for !cursor.Live() {
		n, lost, err := cursor.Next(ctx, buf)
		if err != nil {
			return err
		}
		c.overwritten(lost, filter.Kinds())
		for _, r := range buf[:n] {
			c.add(r.GetKind(), r.GetTime().AsTime().UnixNano(), r)
		}
	}
	return nil
}

// steps are the counts of each step of a span.
type steps struct {
	span     window // both times are set
	first    int64  // ns since the epoch
	step     int64  // ns
	kinds    map[string][]uint64
	lost     []uint64
	complete time.Time
	stopped  bool
	missing  []string
}

func stepsOf(req *skepv1.CountRecordsRequest) (*steps, error) {
	invalid := func(text string) (*steps, error) {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New(text))
	}
	if req.GetFrom() == nil || req.GetFrom().CheckValid() != nil {
		return invalid("from must be a time from year 1 to 9999: say from when on to count")
	}
	w, err := windowOf(&skepv1.ObserveRequest{From: req.GetFrom(), Until: req.GetUntil()})
	if err != nil {
		return nil, err
	}
	if w.until.IsZero() {
		w.until = time.Now()
	}
	step := req.GetStep().AsDuration()
	span := w.until.Sub(w.from)
	switch {
	case req.GetStep().CheckValid() != nil || step < minStep:
		return invalid("step must be a millisecond or more")
	case span <= 0:
		return invalid("until is not after from")
	case w.from.Year() < 1970 || w.until.Year() > 2261: // what int64 has nanoseconds for
		return invalid("from and until must be times from 1970 to 2261")
	case span/step >= maxSteps:
		return invalid(fmt.Sprintf("more than %d steps of %v from %s to %s: make the step longer", maxSteps, step, w.from.Format(time.RFC3339), w.until.Format(time.RFC3339)))
	}
	w.until = w.until.Add(-1) // it is not part of the span
	return &steps{
		span: w, first: w.from.UnixNano(), step: int64(step), complete: w.from,
		kinds: map[string][]uint64{}, lost: make([]uint64, (int64(span)+int64(step)-1)/int64(step)),
	}, nil
}

func (c *steps) stored(ctx context.Context, past Past, filter *filters.Filter) error {
	limit, cancel := context.WithTimeout(ctx, countFor)
	defer cancel()
	counted, missing, err := past.Count(limit, c.span.from, c.span.until, filter, c.add)
	if err != nil {
		return err
	}
	if counted.After(c.complete) {
		c.complete = counted
	}
	c.stopped, c.missing = limit.Err() != nil, missing
	return ctx.Err()
}

// add counts a record; of one of the kind loss it needs the record.
func (c *steps) add(kind string, ns int64, r *skepv1.Record) {
	i := (ns - c.first) / c.step
	if ns < c.first || i >= int64(len(c.lost)) {
		return
	}
	counts := c.kinds[kind]
	if counts == nil {
		counts = make([]uint64, len(c.lost))
		c.kinds[kind] = counts
	}
	counts[i]++
	c.lost[i] += r.GetLoss().GetCount()
}

// overwritten notes what the memory lost before it could be counted.
func (c *steps) overwritten(lost event.Counts, kinds event.KindSet) {
	for k, n := range lost {
		if n > 0 && kinds.Has(event.Kind(k)) {
			c.missing = append(c.missing, fmt.Sprintf("memory: %d %s records were overwritten before they were counted", n, event.Kind(k)))
		}
	}
}

func (c *steps) response() *skepv1.CountRecordsResponse {
	res := &skepv1.CountRecordsResponse{Lost: c.lost, CompleteFrom: timestamppb.New(c.complete), Stopped: c.stopped, Missing: c.missing}
	for _, k := range event.Kinds() {
		if counts := c.kinds[k.String()]; counts != nil {
			res.Kinds = append(res.Kinds, &skepv1.KindCounts{Kind: k.String(), Counts: counts})
		}
	}
	return res
}
