// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// disk is a disk log that holds what was appended before it was put behind a position.
type disk struct {
	records  []*skepv1.Record
	position event.Position
	missing  []string
	export   func(out io.Writer) error
	reading  chan struct{} // if set, each Read sends to it, and waits for its context
	slow     bool          // counts nothing until it is told to stop
}

func (d *disk) Past() Past               { return d }
func (d *disk) Close()                   {}
func (d *disk) Position() event.Position { return d.position }

func (d *disk) Read(ctx context.Context, from, until time.Time, filter *filters.Filter, emit func(*skepv1.Record) error) ([]string, error) {
	if d.reading != nil {
		select {
		case d.reading <- struct{}{}:
			<-ctx.Done()
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}
	for _, r := range d.records {
		at := r.GetTime().AsTime()
		if filter.Match(r) && !at.Before(from) && (until.IsZero() || !at.After(until)) {
			if err := emit(r); err != nil {
				return nil, err
			}
		}
	}
	return d.missing, nil
}

func (d *disk) Last(ctx context.Context, n int, from, until time.Time, filter *filters.Filter) (all []*skepv1.Record, missing []string, err error) {
	missing, err = d.Read(ctx, from, until, filter, func(r *skepv1.Record) error { all = append(all, r); return nil })
	return all[max(0, len(all)-n):], missing, err
}

func (d *disk) Count(ctx context.Context, from, until time.Time, filter *filters.Filter, add func(string, int64, *skepv1.Record)) (time.Time, []string, error) {
	if d.slow {
		<-ctx.Done()
		return d.records[399].GetTime().AsTime(), nil, nil
	}
	missing, err := d.Read(ctx, from, until, filter, func(r *skepv1.Record) error {
		add(r.GetKind(), r.GetTime().AsTime().UnixNano(), nil)
		return nil
	})
	return d.records[0].GetTime().AsTime(), missing, err
}

func (d *disk) Export(_ context.Context, _, _ time.Time, _ *filters.Filter, out io.Writer, progress func(uint64)) ([]string, error) {
	if d.export != nil {
		return nil, d.export(out)
	}
	for i := range 5 {
		if _, err := fmt.Fprintf(out, "%0*d", 300<<10, i); err != nil {
			return nil, err
		}
		progress(uint64(i + 1))
	}
	return d.missing, nil
}

func (d *disk) ProcessesAt(_ context.Context, at time.Time) ([]*skepv1.ProcessInfo, []string, error) {
	if at.Year() < 2000 {
		return nil, d.missing, errors.New("no process table is known of then")
	}
	return []*skepv1.ProcessInfo{
		{Process: &skepv1.Process{Pid: 1, ExecId: "a", Comm: "init", Exe: "/sbin/init"}},
		{Process: &skepv1.Process{Pid: 2, ExecId: "b", ParentExecId: "a", Comm: "sh", Exe: "/bin/sh"}},
		{Process: &skepv1.Process{Pid: 3, ExecId: "c", ParentExecId: "b", Comm: "ls", Exe: "/bin/ls"}},
	}, d.missing, nil
}

// newDiskAgent makes an agent with an empty disk, which does not serve yet.
func newDiskAgent(t *testing.T) (*agent, *disk) {
	d := &disk{}
	return newAgent(t, func(deps *Deps) { deps.Store = d }), d
}

// withDisk starts an agent that has stored the numbers up to 1000, of which memory does
// not hold the first half any more, and then appended up to 1100.
func withDisk(t *testing.T) (*agent, *disk) {
	a, d := newDiskAgent(t)
	a.serve(t)
	c := a.log.Subscribe(event.SubscribeOptions{})
	defer c.Close()
	buf := make([]*skepv1.Record, 64)
	for seq := uint64(1); seq <= 1000; {
		r := record(event.Exec, seq)
		r.Time = timestamppb.New(time.Now().Add(-time.Hour).Add(time.Duration(seq) * time.Second))
		d.records = append(d.records, r)
		if seq++; seq > 500 {
			a.log.Append(event.Exec, r)
			if _, _, err := c.Next(t.Context(), buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.position = c.Position()
	a.fill(event.Exec, 1001, 1101)
	return a, d
}

func wantNumbers(t *testing.T, records []*skepv1.Record, first, last uint64) {
	t.Helper()
	for i, r := range records {
		if r.GetSeq() != first+uint64(i) {
			t.Fatalf("record %d has number %d, want %d", i, r.GetSeq(), first+uint64(i))
		}
	}
	if want := last - first + 1; uint64(len(records)) != want {
		t.Errorf("%d records, want %d", len(records), want)
	}
}

// TestObserveDisk: what memory lacks comes from the disk, each record once and in order.
func TestObserveDisk(t *testing.T) {
	a, d := withDisk(t)
	exec := &skepv1.Filter{Kinds: []string{"exec"}}
	for name, c := range map[string]struct {
		req         *skepv1.ObserveRequest
		first, last uint64
	}{
		"all":            {&skepv1.ObserveRequest{Filter: exec, Since: durationpb.New(24 * time.Hour)}, 1, 1100},
		"from":           {&skepv1.ObserveRequest{Filter: exec, From: d.records[99].Time}, 100, 1100},
		"until":          {&skepv1.ObserveRequest{Filter: exec, From: d.records[99].Time, Until: d.records[199].Time}, 100, 200},
		"last in memory": {&skepv1.ObserveRequest{Filter: exec, Last: 50}, 1051, 1100},
		"last on disk":   {&skepv1.ObserveRequest{Filter: exec, Last: 900}, 201, 1100},
		"last of a span": {&skepv1.ObserveRequest{Filter: exec, From: d.records[0].Time, Until: d.records[299].Time, Last: 10}, 291, 300},
		"live":           {&skepv1.ObserveRequest{Filter: exec, From: d.records[899].Time, Follow: true}, 900, 1100},
	} {
		t.Run(name, func(t *testing.T) {
			wantNumbers(t, awaitLive(t, observe(t, a, c.req)), c.first, c.last)
		})
	}
	d.missing = []string{"exec-1.parquet: torn"}
	got := awaitLive(t, observe(t, a, &skepv1.ObserveRequest{Filter: exec, Since: durationpb.New(24 * time.Hour)}))
	found := false
	for _, r := range got {
		found = found || r.GetLoss().GetPlace() == "store" && r.GetLoss().GetDetail() == "not in this answer: exec-1.parquet: torn"
	}
	if !found {
		t.Error("that a file is missing is not in the answer")
	}
}

func TestObserveRefusesBadTimes(t *testing.T) {
	a, _ := withDisk(t)
	now := timestamppb.Now()
	for name, req := range map[string]*skepv1.ObserveRequest{
		"two begins":        {Since: durationpb.New(time.Hour), From: now},
		"until and follow":  {Until: now, Follow: true},
		"end before begin":  {From: now, Until: timestamppb.New(now.AsTime().Add(-time.Hour))},
		"no time":           {From: &timestamppb.Timestamp{Nanos: -1}},
		"too many to hold":  {From: timestamppb.New(time.Unix(0, 0)), Last: maxLast + 1},
		"too many of all":   {Last: maxLast + 1},
		"before the age":    {Since: durationpb.New(-time.Hour)},
		"until is no time":  {Until: &timestamppb.Timestamp{Seconds: 1 << 60}},
		"until before time": {Since: durationpb.New(time.Minute), Until: timestamppb.New(time.Unix(0, 0))},
	} {
		s := observe(t, a, req)
		for s.Receive() {
		}
		if connect.CodeOf(s.Err()) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, s.Err())
		}
	}
}

func TestProcessesAt(t *testing.T) {
	needRoot(t)
	a, d := withDisk(t)
	d.missing = []string{"exit-1.parquet: torn"}
	c := client(a.socket)
	res, err := c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{At: timestamppb.Now(), Filter: &skepv1.Filter{AncestorExes: []string{"init"}}})
	if err != nil || res.GetTotal() != 3 || len(res.GetProcesses()) != 2 || res.GetProcesses()[1].GetProcess().GetPid() != 3 || len(res.GetMissing()) != 1 {
		t.Errorf("%v, %v", res, err)
	}
	_, err = c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{At: timestamppb.New(time.Unix(0, 0))})
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("of a time before all: %v", err)
	}
	_, err = c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{At: timestamppb.Now(), Exited: true})
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("exited ones of the past: %v", err)
	}
	_, err = client(startAgent(t).socket).ListProcesses(t.Context(), &skepv1.ListProcessesRequest{At: timestamppb.Now()})
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("without a disk log: %v", err)
	}
}

func TestExport(t *testing.T) {
	needRoot(t)
	a, d := withDisk(t)
	d.missing = []string{"a file"}
	s, err := client(a.socket).Export(t.Context(), &skepv1.ExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var bytes int
	var last *skepv1.ExportResponse
	for s.Receive() {
		bytes += len(s.Msg().GetData())
		last = s.Msg()
	}
	if s.Err() != nil || bytes != 5*300<<10 || last.GetRecords() != 5 || len(last.GetMissing()) != 1 {
		t.Errorf("%d bytes, %d records, missing %v, %v", bytes, last.GetRecords(), last.GetMissing(), s.Err())
	}
}

// TestSlowExport: an export may take longer than any other answer, also to its first message
// and from one to the next.
func TestSlowExport(t *testing.T) {
	needRoot(t)
	a, d := newDiskAgent(t)
	a.answerTimeout = 2 * time.Second
	a.serve(t)
	d.export = func(out io.Writer) error {
		for range 2 {
			time.Sleep(a.answerTimeout * 5 / 4) // as a disk takes to find the next record
			if _, err := out.Write(make([]byte, exportChunk)); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := client(a.socket).Export(t.Context(), &skepv1.ExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bytes := 0
	for s.Receive() {
		bytes += len(s.Msg().GetData())
	}
	if s.Err() != nil || bytes != 2*exportChunk {
		t.Errorf("%d bytes of %d came: %v", bytes, 2*exportChunk, s.Err())
	}
}

// TestStalledExport: a client that does not read does not keep others from exporting.
func TestStalledExport(t *testing.T) {
	needRoot(t)
	a, d := newDiskAgent(t)
	a.answerTimeout = 500 * time.Millisecond
	a.serve(t)
	began, ended := make(chan struct{}), make(chan error, 1)
	d.export = func(out io.Writer) error {
		close(began)
		for {
			if _, err := out.Write(make([]byte, exportChunk)); err != nil {
				ended <- err
				return err
			}
		}
	}
	s, err := client(a.socket).Export(t.Context(), &skepv1.ExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-began
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the export still waits for its client")
	}
	waitFor(t, "the next export may begin", func() bool { return a.exports.acquire(0) })
}

func TestStreamingIsOfService(t *testing.T) {
	for procedure, want := range map[string]bool{
		skepv1connect.AgentServiceObserveProcedure: true, skepv1connect.AgentServiceExportProcedure: true, skepv1connect.AgentServiceGetStatusProcedure: false,
	} {
		if got, known := streaming[procedure]; got != want || !known {
			t.Errorf("%s: streams %v, known %v", procedure, got, known)
		}
	}
}

// TestSearchesAreBounded: who reads the disk log has one of few places, and gives it back.
func TestSearchesAreBounded(t *testing.T) {
	needRoot(t)
	a, d := withDisk(t)
	d.reading = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := client(a.socket)
	since := &skepv1.ObserveRequest{Since: durationpb.New(24 * time.Hour)}
	for range maxSearchesPerUID {
		go func() { // it waits for an answer
			if s, err := c.Observe(ctx, since); err == nil {
				s.Close()
			}
		}()
		select {
		case <-d.reading:
		case <-time.After(20 * time.Second):
			t.Fatal("not within 20 s: the search begins")
		}
	}
	refused := observe(t, a, since)
	if refused.Receive() || connect.CodeOf(refused.Err()) != connect.CodeResourceExhausted {
		t.Errorf("one search more: %v", refused.Err())
	}
	_, err := c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{At: timestamppb.Now()})
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("a table of the past: %v", err)
	}
	wantNumbers(t, awaitLive(t, observe(t, a, &skepv1.ObserveRequest{Filter: &skepv1.Filter{Kinds: []string{"exec"}}, Last: 50})), 1051, 1100) // of memory
	cancel()
	waitFor(t, "the places are given back", func() bool {
		_, err := c.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{At: timestamppb.Now()})
		return err == nil
	})
}

// TestLastIsRefusedWhereTooLarge: an answer that would take too much memory is refused, not cut.
func TestLastIsRefusedWhereTooLarge(t *testing.T) {
	a, d := withDisk(t)
	args := make([]byte, 64<<10)
	for _, r := range d.records { // 1,000 of 64 KiB
		r.Body = &skepv1.Record_Exec{Exec: &skepv1.Exec{ArgsRaw: args}}
	}
	s := observe(t, a, &skepv1.ObserveRequest{Last: 1050})
	if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeResourceExhausted {
		t.Errorf("too large: %v", s.Err())
	}
}

// TestNoPlaceNoCompilation: a filter is not compiled for a caller who has no place.
func TestNoPlaceNoCompilation(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	for range maxStreamsPerUID {
		a.streams.acquire(0)
	}
	s := observe(t, a, &skepv1.ObserveRequest{Filter: &skepv1.Filter{Where: "this does not compile"}})
	if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeResourceExhausted {
		t.Errorf("beyond the limit: %v", s.Err())
	}
}
