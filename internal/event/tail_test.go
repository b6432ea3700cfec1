// SPDX-License-Identifier: Apache-2.0

package event

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
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
		filter, err := Compile(spec, FilterDeps{})
		if err != nil {
			t.Fatal(err)
		}
		log := NewLog(LogOptions{})
		last := 1 + random.IntN(12)
		tail := Tail{Size: last, Counts: filter.Counts}
		for seq := range uint64(random.IntN(30)) {
			r, kind := &skepv1.Record{Seq: seq, Time: timestamppb.New(time.Unix(int64(seq), 0)), Process: &skepv1.Process{Pid: uint32(random.IntN(2))}}, Exec
			if random.IntN(3) == 0 {
				kind, r.Process, r.Body = Loss, nil, &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "exec", Count: 1}}
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
		cursor := log.Subscribe(SubscribeOptions{Kinds: filter.CursorKinds(), Match: filter.Match, Last: last, UncountedLosses: !filter.WantsOwn()})
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
