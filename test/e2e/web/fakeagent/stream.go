// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Observe sends the past that matches, then follows in batches of 100 ms,
// sampled to max_rate.
func (a *Agent) Observe(ctx context.Context, req *skepv1.ObserveRequest, out *connect.ServerStream[skepv1.ObserveResponse]) error {
	if err := refused(req.GetFilter()); err != nil {
		return err
	}
	ch, dropped := make(chan *skepv1.Record, 100000), new(uint64)
	a.mu.Lock()
	past := a.past(req)
	a.followers[ch] = dropped
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.followers, ch)
		a.mu.Unlock()
	}()
	for batch := range slices.Chunk(past, 512) {
		if err := out.Send(&skepv1.ObserveResponse{Records: batch}); err != nil {
			return err
		}
	}
	if err := out.Send(&skepv1.ObserveResponse{Live: true}); err != nil || !req.Follow {
		return err
	}
	return a.follow(ctx, req, ch, out)
}

func (a *Agent) follow(ctx context.Context, req *skepv1.ObserveRequest, ch chan *skepv1.Record, out *connect.ServerStream[skepv1.ObserveResponse]) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := int(req.MaxRate) / 10
	if limit == 0 || a.opts.Unsampled {
		limit = len(ch) + cap(ch)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		msg := &skepv1.ObserveResponse{}
		for n := len(ch); n > 0; n-- {
			if r := <-ch; !matches(req.Filter, r) {
				continue
			} else if len(msg.Records) < limit {
				msg.Records = append(msg.Records, r)
			} else {
				msg.SampledOut++
			}
		}
		if len(msg.Records) == 0 && msg.SampledOut == 0 {
			continue
		}
		if err := out.Send(msg); err != nil {
			return err
		}
	}
}

// Followers is how many streams are open.
func (a *Agent) Followers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.followers)
}
