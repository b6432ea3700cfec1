// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// subscriber collects the records of some kinds.
type subscriber struct {
	cancel  context.CancelFunc
	mutex   sync.Mutex
	records []*skepv1.Record
	err     error
}

// subscribe returns once the stream is live.
func (a *agent) subscribe(ctx context.Context, kinds ...string) (*subscriber, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := a.Observe(ctx, &skepv1.ObserveRequest{Filter: &skepv1.Filter{Kinds: kinds}, Follow: true})
	if err != nil {
		cancel()
		return nil, err
	}
	s := &subscriber{cancel: cancel}
	live := make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(live) })
		defer once()
		for stream.Receive() {
			if stream.Msg().Live {
				once()
			}
			s.mutex.Lock()
			s.records = append(s.records, stream.Msg().Records...)
			s.mutex.Unlock()
		}
		s.mutex.Lock()
		s.err = stream.Err()
		s.mutex.Unlock()
	}()
	select {
	case <-live:
	case <-time.After(5 * time.Second):
	}
	return s, nil
}

// until waits for the records to satisfy done, at most for a time, and returns them.
func (s *subscriber) until(limit time.Duration, done func([]*skepv1.Record) bool) []*skepv1.Record {
	deadline := time.Now().Add(limit)
	for {
		s.mutex.Lock()
		records := slices.Clone(s.records)
		s.mutex.Unlock()
		if done(records) || time.Now().After(deadline) {
			return records
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *subscriber) stop() { s.cancel() }
