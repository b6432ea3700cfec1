// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// TestTailIsCursors: a tail keeps what a cursor of the log with the same Last delivers,
// with losses among the records, whether they count or not.
func TestTailIsCursors(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		spec := &skepv1.Filter{Pids: []uint32{1}}
		if round%2 == 0 {
			spec = nil // then losses are asked for as much as all else
		}
		filter, err := filters.Compile(spec, filters.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		log := event.NewLog(event.LogOptions{})
		last := 1 + random.IntN(12)
		tail := event.Tail{Size: last, Counts: filter.Counts, Limit: event.MaxTailBytes}
		for seq := range uint64(random.IntN(30)) {
			r, kind := &skepv1.Record{Seq: seq, Time: timestamppb.New(time.Unix(int64(seq), 0)), Process: &skepv1.Process{Pid: uint32(random.IntN(2))}}, event.Exec
			if random.IntN(3) == 0 {
				kind, r.Process, r.Body = event.Loss, nil, &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "exec", Count: 1}}
			}
			r.Kind = kind.String()
			log.Append(kind, r)
			if filter.Match(r) {
				if err := tail.Add(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		log.Flush()
		cursor := log.Subscribe(event.SubscribeOptions{Kinds: filter.CursorKinds(), Match: filter.Match, Last: last, UncountedLosses: !filter.WantsOwn()})
		var want []*skepv1.Record
		for buf := make([]*skepv1.Record, 64); !cursor.Live(); {
			n, _, err := cursor.Next(t.Context(), buf)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, buf[:n]...)
		}
		cursor.Close()
		if !slices.Equal(tail.Records(), want) {
			t.Fatalf("round %d, last %d: the tail has %d records, the cursor delivers %d", round, last, len(tail.Records()), len(want))
		}
		if tail.Counted() > last {
			t.Fatalf("%d count, %d were asked for", tail.Counted(), last)
		}
	}
}

// TestTailIsBounded: a tail refuses what is too large, and only that: what it let go of
// does not count.
func TestTailIsBounded(t *testing.T) {
	record := func() *skepv1.Record {
		return &skepv1.Record{Kind: "exec", Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{ArgsRaw: make([]byte, 4096)}}}
	}
	all := func(*skepv1.Record) bool { return true }
	fits := event.Tail{Size: 10, Counts: all, Limit: 11 * event.Size(record())}
	for range 1000 {
		if err := fits.Add(record()); err != nil {
			t.Fatal(err)
		}
	}
	if len(fits.Records()) != 10 || fits.Bytes() != 10*event.Size(record()) {
		t.Errorf("%d records of %d bytes", len(fits.Records()), fits.Bytes())
	}
	small := event.Tail{Size: 1000, Counts: all, Limit: 10 * event.Size(record())}
	for i := range 1000 {
		if err := small.Add(record()); errors.Is(err, event.ErrTailTooLarge) {
			if i != 10 {
				t.Errorf("record %d was refused", i)
			}
			return
		}
	}
	t.Error("no record was refused")
}
