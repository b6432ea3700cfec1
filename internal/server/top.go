// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
)

const (
	standardTopInterval = 2 * time.Second
	minTopInterval      = time.Second
	maxTopInterval      = time.Minute
	// maxTopRows is well within what a message may hold.
	maxTopRows = 1000
)

// topOrders are the ways to sort, by name.
var topOrders = map[string]func(*skepv1.TopRow) [2]float64{
	"events":      func(r *skepv1.TopRow) [2]float64 { return [2]float64{r.GetEvents(), r.GetCpu()} },
	"connections": func(r *skepv1.TopRow) [2]float64 { return [2]float64{float64(r.GetConnections()), r.GetConnects()} },
	"bytes": func(r *skepv1.TopRow) [2]float64 {
		return [2]float64{r.GetBytesSent() + r.GetBytesReceived(), r.GetEvents()}
	},
	"cpu": func(r *skepv1.TopRow) [2]float64 { return [2]float64{r.GetCpu(), r.GetEvents()} },
}

// topGroups say what the rows of one row have in common, by name: what is shown of them, and
// what they are told apart by.
var topGroups = map[string]func(*skepv1.Process) (shown *skepv1.Process, key string){
	"process": func(p *skepv1.Process) (*skepv1.Process, string) { return p, p.GetProcessId() },
	"exe":     func(p *skepv1.Process) (*skepv1.Process, string) { return &skepv1.Process{Exe: p.GetExe()}, p.GetExe() },
	"container": func(p *skepv1.Process) (*skepv1.Process, string) {
		return &skepv1.Process{Container: p.GetContainer()}, p.GetContainer().GetId()
	},
}

// topQuestion is a request that was checked.
type topQuestion struct {
	filter   *filters.Filter
	interval time.Duration
	order    func(*skepv1.TopRow) [2]float64
	group    func(*skepv1.Process) (*skepv1.Process, string)
	limit    int
}

// Top implements the AgentService.
func (s *Server) Top(ctx context.Context, req *skepv1.TopRequest, stream *connect.ServerStream[skepv1.TopResponse]) error {
	uid := callerFrom(ctx).uid
	if !s.streams.acquire(uid) {
		return connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("uid %d has %d streams open, which is the limit: close one first", uid, maxStreamsPerUID))
	}
	defer s.streams.release(uid)
	if !s.tops.acquire(uid) {
		return connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("too many measurements are under way: at most %d of a user and %d in all; end one first", maxTopsPerUID, maxTops))
	}
	defer s.tops.release(uid)
	q, err := s.topQuestion(req)
	if err != nil {
		return err
	}
	defer func() { s.filterFailures.Add(q.filter.Failures()) }()
	m := s.deps.Usage.Begin()
	defer m.End()
	ticker := time.NewTicker(q.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return finished(ctx, ctx.Err())
		case <-ticker.C:
		}
		rows, measured, uncounted := m.Take()
		r := q.answer(rows, measured)
		r.Time, r.Measured, r.Uncounted = timestamppb.Now(), durationpb.New(measured), uncounted
		if err := stream.Send(r); err != nil {
			return finished(ctx, err)
		}
	}
}

func (s *Server) topQuestion(req *skepv1.TopRequest) (*topQuestion, error) {
	f := req.GetFilter()
	q := &topQuestion{
		interval: standardTopInterval, limit: int(min(cmp.Or(req.GetLimit(), maxTopRows), maxTopRows)),
		order: topOrders[cmp.Or(req.GetBy(), "events")], group: topGroups[cmp.Or(req.GetGroup(), "process")],
	}
	if req.GetInterval() != nil {
		q.interval = req.GetInterval().AsDuration()
	}
	var err error
	switch {
	case len(f.GetKinds())+len(f.GetAddrs())+len(f.GetPorts())+len(f.GetPaths()) > 0:
		err = errors.New("filter: top selects processes; kinds, addrs, ports and paths are no part of one")
	case q.interval < minTopInterval || q.interval > maxTopInterval:
		err = fmt.Errorf("interval: must be from %v to %v, not %v", minTopInterval, maxTopInterval, q.interval)
	case q.order == nil:
		err = fmt.Errorf("by: must be one of %s, not %q", names(topOrders), cut(req.GetBy(), 64))
	case q.group == nil:
		err = fmt.Errorf("group: must be one of %s, not %q", names(topGroups), cut(req.GetGroup(), 64))
	}
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	q.filter, err = s.compile(f)
	return q, err
}

func names[V any](of map[string]V) string { return strings.Join(slices.Sorted(maps.Keys(of)), ", ") }

// answer groups, sorts and cuts the rows that match, and makes rates of what there was.
func (q *topQuestion) answer(rows []*skepv1.TopRow, measured time.Duration) *skepv1.TopResponse {
	groups := map[string]*skepv1.TopRow{}
	total := &skepv1.TopRow{}
	for _, r := range rows {
		if !q.filter.Match(&skepv1.Record{Process: r.GetProcess()}) {
			continue
		}
		shown, key := q.group(r.GetProcess())
		group := groups[key]
		if group == nil {
			group = &skepv1.TopRow{Process: shown}
			groups[key] = group
		}
		addRow(group, r)
		addRow(total, r)
	}
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b *skepv1.TopRow) int {
		x, y := q.order(a), q.order(b)
		return cmp.Or(cmp.Compare(y[0], x[0]), cmp.Compare(y[1], x[1]), cmp.Compare(a.GetProcess().GetPid(), b.GetProcess().GetPid()),
			cmp.Compare(a.GetProcess().GetExe(), b.GetProcess().GetExe()))
	})
	res := &skepv1.TopResponse{Rows: sorted[:min(len(sorted), q.limit)], Total: total, Matching: uint64(len(sorted))}
	for _, r := range append(res.Rows[:len(res.Rows):len(res.Rows)], total) {
		makeRates(r, measured.Seconds())
	}
	return res
}

func addRow(to, r *skepv1.TopRow) {
	to.Processes += r.Processes
	to.Events += r.Events
	to.Connections += r.Connections
	to.Connects += r.Connects
	to.BytesSent += r.BytesSent
	to.BytesReceived += r.BytesReceived
	to.Cpu += r.Cpu
}

func makeRates(r *skepv1.TopRow, seconds float64) {
	for _, v := range []*float64{&r.Events, &r.Connects, &r.BytesSent, &r.BytesReceived, &r.Cpu} {
		*v /= max(seconds, 1e-3)
	}
}
