// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// stream collects what an agent tells, from all that it remembers on.
type stream struct {
	t       *testing.T
	mutex   sync.Mutex
	records []*skepv1.Record
	err     error
	cancel  context.CancelFunc
	done    chan struct{}
}

func (a *agent) observe(kinds ...string) *stream {
	a.house.t.Helper()
	return a.stream(&skepv1.ObserveRequest{Filter: &skepv1.Filter{Kinds: kinds}, Last: 1 << 30, Follow: true})
}

// follow collects from now on, as one has to where the past is a disk log.
func (a *agent) follow(kinds ...string) *stream {
	a.house.t.Helper()
	return a.stream(&skepv1.ObserveRequest{Filter: &skepv1.Filter{Kinds: kinds}, Follow: true})
}

func (a *agent) stream(req *skepv1.ObserveRequest) *stream {
	t := a.house.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	source, err := a.Observe(ctx, req)
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	s := &stream{t: t, cancel: cancel, done: make(chan struct{})}
	live := make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(live) })
		defer once()
		defer close(s.done)
		for source.Receive() {
			s.mutex.Lock()
			s.records = append(s.records, source.Msg().Records...)
			s.mutex.Unlock()
			if source.Msg().Live {
				once()
			}
		}
		s.err = source.Err()
	}()
	<-live
	select {
	case <-s.done:
		if s.err != nil {
			t.Fatalf("observe: %v", s.err)
		}
	default:
	}
	return s
}

// all returns what has come.
func (s *stream) all() []*skepv1.Record {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.records)
}

// end waits for the stream to end by itself and returns everything.
func (s *stream) end() []*skepv1.Record {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(skepdtest.Patience):
		s.t.Error("the stream did not end with its agent")
		s.cancel()
	}
	return s.all()
}

// find waits for the first record that matches.
func (s *stream) find(what string, match func(*skepv1.Record) bool) *skepv1.Record {
	s.t.Helper()
	var found *skepv1.Record
	within(s.t, skepdtest.Patience, what, func() error {
		records := s.all()
		if i := slices.IndexFunc(records, match); i >= 0 {
			found = records[i]
			return nil
		}
		return fmt.Errorf("not among %d records", len(records))
	})
	if found == nil {
		s.t.FailNow()
	}
	return found
}

// generated counts the generator's records of each kind.
func generated(records []*skepv1.Record) map[string]uint64 {
	counts := map[string]uint64{}
	for _, r := range records {
		if r.Process.GetPid() >= firstTgid {
			counts[r.Kind]++
		}
	}
	return counts
}

// losses sums the loss records by lost kind, of some places only.
func losses(records []*skepv1.Record, places ...string) map[string]uint64 {
	counts := map[string]uint64{}
	for _, r := range records {
		if l := r.GetLoss(); l != nil && slices.Contains(places, l.Place) {
			counts[l.LostKind] += l.Count
		}
	}
	return counts
}

// span is a run of sequence numbers, both ends included.
type span struct{ first, last uint64 }

// spans are the numbers of each kind in a stream: those of records, and those that loss
// records name.
func spans(records []*skepv1.Record) map[string][]span {
	found := map[string][]span{}
	for _, r := range records {
		if r.Seq != 0 {
			found[r.Kind] = append(found[r.Kind], span{r.Seq, r.Seq})
		}
		if l := r.GetLoss(); l.GetLastSeq() != 0 {
			found[l.LostKind] = append(found[l.LostKind], span{l.FirstSeq, l.LastSeq})
		}
	}
	return found
}

// wantContinuous checks that within a stream the numbers of each kind have neither gaps
// nor come twice, and that none of them was used before. It returns the last ones.
func wantContinuous(t *testing.T, records []*skepv1.Record, before map[string]uint64) map[string]uint64 {
	t.Helper()
	after := map[string]uint64{}
	maps.Copy(after, before)
	for kind, all := range spans(records) {
		slices.SortFunc(all, func(a, b span) int { return int(int64(a.first) - int64(b.first)) })
		if all[0].first <= before[kind] {
			t.Errorf("%s: number %d is used again: the last agent came to %d", kind, all[0].first, before[kind])
		}
		for i := 1; i < len(all); i++ {
			if all[i].first != all[i-1].last+1 {
				t.Errorf("%s: %v follows %v", kind, all[i], all[i-1])
				break
			}
		}
		after[kind] = all[len(all)-1].last
	}
	return after
}
