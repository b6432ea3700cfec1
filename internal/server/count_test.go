// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

func sum(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// TestCountRecords: what is counted is what Observe sends, from disk and memory, in the
// right steps.
func TestCountRecords(t *testing.T) {
	needRoot(t)
	a, d := withDisk(t)
	loss := record(event.Loss, 1)
	loss.Body = &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "exec", Count: 37, Place: "ring_full"}}
	a.log.Append(event.Loss, loss)
	a.fill(event.Exit, 0, 3)
	c := client(a.socket)
	begin := d.records[0].GetTime().AsTime()
	for name, test := range map[string]struct {
		from, until         time.Time
		filter              *skepv1.Filter
		execs, exits, loses uint64
	}{
		"all":     {from: begin, execs: 1100, exits: 3, loses: 37},
		"kind":    {from: begin, filter: &skepv1.Filter{Kinds: []string{"exit"}}, exits: 3},
		"where":   {from: begin, filter: &skepv1.Filter{Where: "seq > 1090u"}, execs: 10, loses: 37},
		"span":    {from: begin.Add(99 * time.Second), until: begin.Add(199 * time.Second), execs: 100},
		"memory":  {from: begin.Add(899 * time.Second), until: begin.Add(999 * time.Second), execs: 100},
		"to come": {from: time.Now().Add(time.Hour), until: time.Now().Add(2 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			req := &skepv1.CountRecordsRequest{From: timestamppb.New(test.from), Step: durationpb.New(10 * time.Second), Filter: test.filter}
			if !test.until.IsZero() {
				req.Until = timestamppb.New(test.until)
			}
			res, err := c.CountRecords(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]uint64{}
			for _, k := range res.Kinds {
				got[k.Kind] = sum(k.Counts)
			}
			if got["exec"] != test.execs || got["exit"] != test.exits || sum(res.Lost) != test.loses {
				t.Errorf("counted %v and %d lost, want %+v", got, sum(res.Lost), test)
			}
			if !res.CompleteFrom.AsTime().Equal(test.from) || res.Stopped {
				t.Errorf("complete from %v, asked from %v", res.CompleteFrom.AsTime(), test.from)
			}
		})
	}
	res, err := c.CountRecords(t.Context(), &skepv1.CountRecordsRequest{
		From: timestamppb.New(begin), Until: timestamppb.New(begin.Add(95 * time.Second)), Step: durationpb.New(10 * time.Second)})
	if err != nil || len(res.Lost) != 10 || res.Kinds[0].Counts[0] != 10 || res.Kinds[0].Counts[9] != 5 {
		t.Errorf("one record a second in steps of ten seconds: %v, %v", res, err)
	}
}

// TestCountTellsHowFar: of what is not kept, and of what there was no time for.
func TestCountTellsHowFar(t *testing.T) {
	needRoot(t)
	a, d := withDisk(t)
	ask := func(a *agent, from time.Time) *skepv1.CountRecordsResponse {
		t.Helper()
		res, err := client(a.socket).CountRecords(t.Context(), &skepv1.CountRecordsRequest{From: timestamppb.New(from), Step: durationpb.New(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	oldest := d.records[0].GetTime().AsTime()
	if res := ask(a, oldest.Add(-time.Hour)); !res.CompleteFrom.AsTime().Equal(oldest) || res.Stopped {
		t.Errorf("complete from %v, the oldest record is of %v", res.CompleteFrom.AsTime(), oldest)
	}
	d.missing = []string{"exec-1.parquet: torn"}
	if res := ask(a, oldest); len(res.Missing) != 1 || res.Missing[0] != d.missing[0] {
		t.Errorf("missing: %q", res.Missing)
	}
	d.slow = true
	if res := ask(a, oldest); !res.Stopped || !res.CompleteFrom.AsTime().Equal(d.records[399].GetTime().AsTime()) {
		t.Errorf("without time: complete from %v, stopped %v", res.CompleteFrom.AsTime(), res.Stopped)
	}

	b := startAgent(t) // without a disk log
	b.fill(event.Exec, 0, 10)
	res := ask(b, time.Now().Add(-time.Hour))
	if got := res.CompleteFrom.AsTime(); time.Since(got) > time.Minute || sum(res.Kinds[0].Counts) != 10 {
		t.Errorf("memory alone: complete from %v, %v", got, res.Kinds)
	}
}

func TestCountRefusesNonsense(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	now, second := timestamppb.Now(), durationpb.New(time.Second)
	hourAgo := timestamppb.New(time.Now().Add(-time.Hour))
	for name, req := range map[string]*skepv1.CountRecordsRequest{
		"no begin":         {Step: second},
		"no step":          {From: hourAgo},
		"negative step":    {From: hourAgo, Step: durationpb.New(-time.Second)},
		"short step":       {From: hourAgo, Step: durationpb.New(time.Microsecond)},
		"too many steps":   {From: hourAgo, Step: durationpb.New(time.Second), Until: now},
		"end before begin": {From: now, Until: hourAgo, Step: second},
		"all of time":      {From: timestamppb.New(time.Unix(-62135596800, 0)), Step: durationpb.New(1 << 62)},
		"end of time":      {From: hourAgo, Until: timestamppb.New(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), Step: durationpb.New(1 << 62)},
		"no time":          {From: &timestamppb.Timestamp{Nanos: -1}, Step: second},
		"no such field":    {From: hourAgo, Step: durationpb.New(time.Minute), Filter: &skepv1.Filter{Where: "proces.pid == 1"}},
	} {
		if _, err := client(a.socket).CountRecords(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
