// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

const (
	// A message of a stream holds at most so many records, and about so many
	// bytes, which is well under the 4 MiB that gRPC clients accept.
	maxBatchRecords = 512
	maxBatchBytes   = 1 << 20
)

// Observe implements the AgentService: the past, then what happens.
//
// There is no buffer between the log and the client but the one batch in
// flight: Send blocks while the client does not read, meanwhile the cursor is
// overtaken, and what it lost is a loss record in the place where it is missing.
func (s *Server) Observe(ctx context.Context, req *skepv1.ObserveRequest, stream *connect.ServerStream[skepv1.ObserveResponse]) error {
	uid := callerFrom(ctx).uid
	if !s.streams.acquire(uid) {
		return connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("uid %d has %d streams open, which is the limit: close one first", uid, maxStreamsPerUID))
	}
	defer s.streams.release(uid)
	filter, err := s.compile(req.GetFilter()) // takes milliseconds: only of those who have a place
	if err != nil {
		return err
	}
	when, err := windowOf(req)
	if err != nil {
		return err
	}
	opts := subscription(callerFrom(ctx), req, filter, when)
	if opts.Last > 0 || !opts.Since.IsZero() {
		s.catchUp(ctx)
	}
	defer func() { s.filterFailures.Add(filter.Failures()) }()

	o := &observation{
		node: s.deps.Node, kinds: filter.Kinds(), filter: filter, cursor: s.deps.Log.Subscribe(opts), stream: stream.Send,
		buf: make([]*skepv1.Record, maxBatchRecords),
	}
	defer func() { o.cursor.Close() }()
	if err := o.stored(ctx, s, filter, opts, when); err != nil {
		return finished(ctx, err)
	}
	if err := o.past(ctx, !opts.Since.IsZero() || opts.Last > 0); err != nil || !req.GetFollow() {
		return finished(ctx, err)
	}
	if req.GetMaxRate() > 0 {
		return finished(ctx, o.followSampled(ctx, newSampler(req.GetMaxRate())))
	}
	return finished(ctx, o.follow(ctx))
}

// subscription is what the log is asked for.
func subscription(c caller, req *skepv1.ObserveRequest, filter *filters.Filter, when window) event.SubscribeOptions {
	opts := event.SubscribeOptions{
		Who: fmt.Sprintf("%s (%s)", c.user, c.peer.place()), Filter: describeFilter(req.GetFilter()),
		Kinds: filter.CursorKinds(), Match: filter.Match, Last: int(req.GetLast()), UncountedLosses: !filter.WantsOwn(), Since: when.from,
	}
	if c.token != nil {
		opts.Who = fmt.Sprintf("%s (token %s)", c.user, c.token.shortID())
	}
	if !when.until.IsZero() {
		opts.Match = func(r *skepv1.Record) bool { return !r.GetTime().AsTime().After(when.until) && filter.Match(r) }
	}
	return opts
}

func describeFilter(f *skepv1.Filter) string {
	if f == nil {
		return ""
	}
	text := string(event.AppendJSON(nil, f))
	if text == "{}" {
		return ""
	}
	return cut(text, 256)
}

// finished is how a stream ends: cleanly with the log, or with the reason why
// its context did.
func finished(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(context.Cause(ctx), errStopping):
		return connect.NewError(connect.CodeUnavailable, errStopping)
	case ctx.Err() != nil:
		return connect.NewError(connect.CodeCanceled, ctx.Err())
	}
	return err
}

// observation is one stream of records.
type observation struct {
	node   Node
	kinds  event.KindSet // whose losses are told
	cursor *event.Cursor
	filter *filters.Filter
	stream func(*skepv1.ObserveResponse) error
	buf    []*skepv1.Record
	// of the filter's failures, told already
	undecided uint64
	// of the disk log, not sent yet
	batch      []*skepv1.Record
	batchBytes int
}

// past sends what was there when the stream began, if it is wanted, and then
// the message that says that the rest is live. That one also tells a client
// that waits for the first event that the stream stands.
func (o *observation) past(ctx context.Context, wanted bool) error {
	for wanted && !o.cursor.Live() {
		records, err := o.next(ctx)
		if err == nil {
			err = o.sendAll(records)
		}
		if err != nil {
			return err
		}
	}
	return o.send(&skepv1.ObserveResponse{Live: true})
}

func (o *observation) follow(ctx context.Context) error {
	for {
		records, err := o.next(ctx)
		if err == nil {
			err = o.sendAll(records)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for records; those that were lost before them come first.
func (o *observation) next(ctx context.Context) ([]*skepv1.Record, error) {
	n, lost, err := o.wait(ctx)
	if err != nil {
		return nil, err
	}
	if lost == (event.Counts{}) {
		return o.buf[:n], nil
	}
	return append(o.losses(lost), o.buf[:n]...), nil
}

// tellUndecided is after how long it is told that a filter cannot decide, where nothing
// matches that could tell it.
const tellUndecided = time.Second

// wait is Next of the cursor. Nothing that matches may come while the filter fails.
func (o *observation) wait(ctx context.Context) (int, event.Counts, error) {
	if o.filter.Spec().GetWhere() == "" {
		return o.cursor.Next(ctx, o.buf)
	}
	for {
		soon, cancel := context.WithTimeout(ctx, tellUndecided)
		n, lost, err := o.cursor.Next(soon, o.buf)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return n, lost, err
		}
		if o.filter.Failures() > o.undecided {
			if err := o.send(&skepv1.ObserveResponse{}); err != nil {
				return 0, event.Counts{}, err
			}
		}
	}
}

// send adds what the filter could not decide since the last message.
func (o *observation) send(m *skepv1.ObserveResponse) error {
	if m.Undecided = o.filter.Undecided(o.undecided); m.Undecided != nil {
		o.undecided += m.Undecided.Count
	}
	return o.stream(m)
}

// losses are the records that say what this subscriber lost. They are in its
// stream only, so they have no sequence number.
func (o *observation) losses(lost event.Counts) (records []*skepv1.Record) {
	for k, count := range lost {
		if count == 0 || !(o.kinds.Has(event.Kind(k)) || event.Kind(k) == event.Loss) {
			continue
		}
		records = append(records, o.loss(event.Kind(k), count))
	}
	return records
}

func (o *observation) loss(k event.Kind, count uint64) *skepv1.Record {
	now, bootNS := clocks()
	return &skepv1.Record{
		NodeId: o.node.ID, BootId: o.node.BootID, NodeName: o.node.Name,
		Kind: event.Loss.String(), Time: now, BootNs: bootNS,
		Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{
			LostKind: k.String(), Count: count, Place: "subscriber",
			Detail: "this reader was too slow, or asked for a past that was being overwritten; counted before its filter",
		}},
	}
}

// sendAll sends records in as few messages as their limits allow.
func (o *observation) sendAll(records []*skepv1.Record) error {
	for len(records) > 0 {
		n := batchLen(records)
		if err := o.send(&skepv1.ObserveResponse{Records: records[:n]}); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// batchLen is how many of the records fit into one message, at least one.
func batchLen(records []*skepv1.Record) int {
	bytes := 0
	for i, r := range records[:min(len(records), maxBatchRecords)] {
		if bytes += event.Size(r); bytes > maxBatchBytes && i > 0 {
			return i
		}
	}
	return min(len(records), maxBatchRecords)
}
