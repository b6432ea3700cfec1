// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// pastRecords is how many records there are of Options.Past.
const pastRecords = 6000

// before writes the records of the time before the agent was made, with tides.
func (a *Agent) before() {
	begin := time.Now().Add(-a.opts.Past)
	for i := range pastRecords {
		share := float64(i) / pastRecords
		a.at = begin.Add(time.Duration((share + 0.04*math.Sin(4*math.Pi*share)) * float64(a.opts.Past)))
		switch p := a.table[a.rng.IntN(a.cast)]; i % 7 {
		case 0:
			a.resolve()
		case 3:
			a.touch()
		case 1:
			a.publish(&skepv1.Record{Kind: "exec", Process: p.Process, Body: &skepv1.Record_Exec{Exec: p.Exec}})
		case 2:
			a.traffic("close")
		default:
			a.traffic("open")
		}
		if a.opts.Loss && i%1500 == 1000 {
			a.lose(91)
		}
	}
	a.at = time.Time{}
}

func (a *Agent) lose(n uint64) {
	a.lost += n
	a.publish(&skepv1.Record{Kind: "loss", Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "close", Count: n, Place: "ring_full"}}})
}

// refused is what an agent says of a condition with a field that no record has.
func refused(f *skepv1.Filter) error {
	if !strings.Contains(f.GetWhere(), "no_such_field") {
		return nil
	}
	return connect.NewError(connect.CodeInvalidArgument, errors.New("filter where: column 1: undeclared reference to 'no_such_field'"))
}

// CountRecords counts what the log holds.
func (a *Agent) CountRecords(_ context.Context, r *skepv1.CountRecordsRequest) (*skepv1.CountRecordsResponse, error) {
	if err := refused(r.GetFilter()); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	from, step := r.From.AsTime(), r.Step.AsDuration()
	until := time.Now()
	if r.Until != nil {
		until = r.Until.AsTime()
	}
	if step <= 0 || until.Sub(from)/step >= 2000 {
		return nil, connect.NewError(connect.CodeInvalidArgument, context.DeadlineExceeded)
	}
	n := int((until.Sub(from) + step - 1) / step)
	res := &skepv1.CountRecordsResponse{Lost: make([]uint64, n), CompleteFrom: timestamppb.New(from)}
	if len(a.log) > 0 && a.log[0].Time.AsTime().After(from) {
		res.CompleteFrom = a.log[0].Time
	}
	if strings.Contains(r.GetFilter().GetWhere(), "[70]") { // of arguments that nothing has so many of
		res.Undecided = &skepv1.Undecided{Count: 12, Reason: "index out of bounds: 70"}
	}
	kinds := map[string]*skepv1.KindCounts{}
	for _, rec := range a.log {
		at := rec.Time.AsTime()
		if !matches(r.Filter, rec) || at.Before(from) || !at.Before(until) {
			continue
		}
		i := int(at.Sub(from) / step)
		if kinds[rec.Kind] == nil {
			kinds[rec.Kind] = &skepv1.KindCounts{Kind: rec.Kind, Counts: make([]uint64, n)}
			res.Kinds = append(res.Kinds, kinds[rec.Kind])
		}
		kinds[rec.Kind].Counts[i]++
		res.Lost[i] += rec.GetLoss().GetCount()
	}
	return res, nil
}

// past is what the log holds of a request, the last ones if it says how many.
func (a *Agent) past(req *skepv1.ObserveRequest) (got []*skepv1.Record) {
	if req.Last == 0 && req.From == nil {
		return nil
	}
	for _, r := range slices.Backward(a.log) {
		at := r.Time.AsTime()
		if req.From != nil && at.Before(req.From.AsTime()) || req.Last > 0 && len(got) == int(req.Last) {
			break
		}
		if matches(req.Filter, r) && (req.Until == nil || !at.After(req.Until.AsTime())) {
			got = append(got, r)
		}
	}
	slices.Reverse(got)
	return got
}

// matches knows of expressions the one that the page itself makes.
func matches(f *skepv1.Filter, r *skepv1.Record) bool {
	return (len(f.GetKinds()) == 0 || slices.Contains(f.GetKinds(), r.Kind)) &&
		(f.GetWhere() == "" || f.GetWhere() == fmt.Sprintf("process.process_id == %q", r.GetProcess().GetProcessId())) &&
		(len(f.GetPaths()) == 0 || below(f.GetPaths(), r)) &&
		(len(f.GetPids()) == 0 || slices.Contains(f.GetPids(), r.GetProcess().GetPid())) &&
		(len(f.GetComms()) == 0 || slices.Contains(f.GetComms(), r.GetProcess().GetComm()))
}
