// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/test/day"
)

// counts are records by kind and second.
type counts map[string]uint64

func (c counts) add(kind string, ns int64, loss *skepv1.Record) {
	c[fmt.Sprint(kind, ns/1e9)]++
	if loss != nil {
		c["lost"] += loss.GetLoss().GetCount()
	}
}

// TestCount compares what is counted with what is read.
func TestCount(t *testing.T) {
	d := day.New(day.Start, 20*time.Millisecond)
	var records []*skepv1.Record
	for i := range 4500 {
		records = append(records, d.Next())
		if i%100 == 0 {
			d.Add("loss", nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "exec", Count: uint64(i), Place: "ring_full"}}})
		}
	}
	some := records[2000]
	for _, shape := range []struct{ logs, closed int }{{1, 0}, {1, 1}, {3, 2}} {
		s := history(t, records, shape.logs, shape.closed)
		for name, spec := range map[string]*skepv1.Filter{
			"all":     nil,
			"kinds":   {Kinds: []string{"exit", "close"}},
			"losses":  {Kinds: []string{"loss"}},
			"comm":    {Comms: []string{"curl"}},
			"where":   {Where: "exit.code == 1"},
			"nothing": {Comms: []string{"nobody"}, Kinds: []string{"fork"}},
		} {
			for _, span := range []window{{}, {some.Time.AsTime(), some.Time.AsTime().Add(10 * time.Second)}} {
				t.Run(fmt.Sprint(shape, name, !span.from.IsZero()), func(t *testing.T) {
					want := counts{}
					for _, r := range ask(t, s, span.from, span.until, spec) {
						if r.GetLoss() == nil {
							want.add(r.GetKind(), timeOf(r), nil)
						} else {
							want.add(r.GetKind(), timeOf(r), r)
						}
					}
					got, counted := count(t, t.Context(), s, span, spec)
					if !maps.Equal(got, want) || name != "nothing" && len(got) == 0 {
						t.Errorf("got %v\nwant %v", got, want)
					}
					if first := timeOf(ask(t, s, time.Time{}, time.Time{}, nil)[0]); counted.UnixNano() != first {
						t.Errorf("counted from %v, the oldest record is of %v", counted, time.Unix(0, first))
					}
				})
			}
		}
	}
}

type window struct{ from, until time.Time }

func count(t *testing.T, ctx context.Context, s *Store, span window, spec *skepv1.Filter) (counts, time.Time) {
	t.Helper()
	filter, err := filters.Compile(spec, filters.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	past := s.Past()
	defer past.Close()
	got := counts{}
	counted, missing, err := past.Count(ctx, span.from, span.until, filter, got.add)
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	return got, counted
}

// TestCountIsStopped: what was counted before is right from the time on that is told.
func TestCountIsStopped(t *testing.T) {
	d := day.New(day.Start, 20*time.Millisecond)
	var records []*skepv1.Record
	for range 9000 {
		records = append(records, d.Next())
	}
	s := history(t, records, 3, 3)
	for _, spec := range []*skepv1.Filter{nil, {Where: "process.pid > 0"}} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		filter, err := filters.Compile(spec, filters.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		past := s.Past()
		defer past.Close()
		var times []int64
		counted, _, err := past.Count(ctx, time.Time{}, time.Time{}, filter, func(_ string, ns int64, _ *skepv1.Record) {
			if times = append(times, ns); len(times) == 4000 {
				cancel()
			}
		})
		if err != nil || counted.UnixNano() <= timeOf(records[0]) || len(times) == len(records) {
			t.Fatalf("%d records counted, from %v, %v", len(times), counted, err)
		}
		var got, want int
		for _, ns := range times {
			if ns >= counted.UnixNano() {
				got++
			}
		}
		for _, r := range records {
			if timeOf(r) >= counted.UnixNano() {
				want++
			}
		}
		if got != want || want == 0 {
			t.Errorf("%d records counted from %v, there are %d", got, counted, want)
		}
	}
}
