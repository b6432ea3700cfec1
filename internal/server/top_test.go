// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// fakeUsage gives the same rows each time, and knows how many meters are open.
type fakeUsage struct {
	rows []*skepv1.TopRow

	mutex sync.Mutex
	open  int
}

func (u *fakeUsage) Begin() Meter { u.add(1); return u }
func (u *fakeUsage) End()         { u.add(-1) }

func (u *fakeUsage) add(n int) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.open += n
}

func (u *fakeUsage) held() int {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	return u.open
}

func (u *fakeUsage) Take() (rows []*skepv1.TopRow, measured time.Duration, uncounted uint64) {
	for _, r := range u.rows {
		rows = append(rows, proto.CloneOf(r))
	}
	return rows, 2 * time.Second, 3
}

func someRows() []*skepv1.TopRow {
	web := &skepv1.Container{Id: strings.Repeat("c", 64), Name: "web"}
	row := func(pid uint32, exe string, c *skepv1.Container, r *skepv1.TopRow) *skepv1.TopRow {
		r.Process, r.Processes = &skepv1.Process{ProcessId: string(rune('a' + pid)), Pid: pid, Exe: exe, Container: c}, 1
		return r
	}
	return []*skepv1.TopRow{
		row(1, "/bin/a", nil, &skepv1.TopRow{Events: 10, Cpu: 1}),
		row(2, "/bin/b", web, &skepv1.TopRow{Events: 30, Connections: 2, Connects: 4, BytesSent: 100, BytesReceived: 2000}),
		row(3, "/bin/b", web, &skepv1.TopRow{Events: 20, Connections: 5, BytesSent: 50}),
		row(4, "/bin/c", nil, &skepv1.TopRow{Cpu: 0.5}),
	}
}

// first is the first answer to a request.
func (a *agent) first(t *testing.T, req *skepv1.TopRequest) *skepv1.TopResponse {
	t.Helper()
	req.Interval = durationpb.New(time.Second)
	stream, err := client(a.socket).Top(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	return stream.Msg()
}

func TestTop(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	a.usage.rows = someRows()
	for _, c := range []struct {
		req  *skepv1.TopRequest
		want []uint32
	}{
		{&skepv1.TopRequest{}, []uint32{2, 3, 1, 4}},
		{&skepv1.TopRequest{By: "events", Limit: 2}, []uint32{2, 3}},
		{&skepv1.TopRequest{By: "connections"}, []uint32{3, 2, 1, 4}},
		{&skepv1.TopRequest{By: "bytes", Limit: 2}, []uint32{2, 3}},
		{&skepv1.TopRequest{By: "cpu"}, []uint32{1, 4, 2, 3}},
		{&skepv1.TopRequest{Filter: &skepv1.Filter{Containers: []string{"web"}}}, []uint32{2, 3}},
		{&skepv1.TopRequest{Filter: &skepv1.Filter{Where: "process.pid > 3"}}, []uint32{4}},
	} {
		var got []uint32
		r := a.first(t, c.req)
		for _, row := range r.Rows {
			got = append(got, row.Process.Pid)
		}
		if len(got) != len(c.want) {
			t.Errorf("%v: %v, want %v", c.req, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v: %v, want %v", c.req, got, c.want)
				break
			}
		}
	}
	r := a.first(t, &skepv1.TopRequest{Limit: 1})
	want := &skepv1.TopRow{Processes: 4, Events: 30, Connections: 7, Connects: 2, BytesSent: 75, BytesReceived: 1000, Cpu: 0.75}
	if !proto.Equal(r.Total, want) || r.Matching != 4 || r.Uncounted != 3 || r.Measured.AsDuration() != 2*time.Second || r.Time == nil {
		t.Errorf("got %v", r)
	}
	if row := r.Rows[0]; row.Events != 15 || row.Connections != 2 || row.BytesReceived != 1000 {
		t.Errorf("rates of two seconds: %v", row)
	}
	waitFor(t, "the meters are given back", func() bool { return a.usage.held() == 0 })
}

func TestTopGroups(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	a.usage.rows = someRows()
	byContainer := a.first(t, &skepv1.TopRequest{Group: "container"}).Rows
	if len(byContainer) != 2 || byContainer[0].Process.Container.GetName() != "web" || byContainer[0].Processes != 2 || byContainer[0].Events != 25 ||
		byContainer[1].Process.Container != nil || byContainer[1].Processes != 2 || byContainer[0].Process.Pid != 0 {
		t.Errorf("%v", byContainer)
	}
	byExe := a.first(t, &skepv1.TopRequest{Group: "exe", By: "cpu"}).Rows
	if len(byExe) != 3 || byExe[0].Process.Exe != "/bin/a" || byExe[1].Process.Exe != "/bin/c" || byExe[2].Connections != 7 {
		t.Errorf("%v", byExe)
	}
}

// TestTopIsBounded: an answer fits into a message, whatever is asked for.
func TestTopIsBounded(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	for pid := range uint32(3000) {
		a.usage.rows = append(a.usage.rows, &skepv1.TopRow{Process: &skepv1.Process{ProcessId: time.Duration(pid).String(), Pid: pid}, Processes: 1, Events: 1})
	}
	if r := a.first(t, &skepv1.TopRequest{Limit: math.MaxUint32}); len(r.Rows) != maxTopRows || r.Matching != 3000 || r.Total.Processes != 3000 {
		t.Errorf("%d rows of %d", len(r.Rows), r.Matching)
	}
}

func TestTopRefuses(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	for _, c := range []struct {
		req  *skepv1.TopRequest
		want string
	}{
		{&skepv1.TopRequest{By: "size"}, `by: must be one of bytes, connections, cpu, events, not "size"`},
		{&skepv1.TopRequest{Group: "pod"}, `group: must be one of container, exe, process`},
		{&skepv1.TopRequest{Interval: durationpb.New(time.Millisecond)}, "interval: must be from 1s to 1m0s, not 1ms"},
		{&skepv1.TopRequest{Interval: durationpb.New(time.Hour)}, "interval: must be"},
		{&skepv1.TopRequest{Filter: &skepv1.Filter{Kinds: []string{"exec"}}}, "top selects processes"},
		{&skepv1.TopRequest{Filter: &skepv1.Filter{Ports: []uint32{80}}}, "top selects processes"},
		{&skepv1.TopRequest{Filter: &skepv1.Filter{Where: "nonsense"}}, "filter where"},
	} {
		stream, err := client(a.socket).Top(context.Background(), c.req)
		if err != nil {
			t.Fatal(err)
		}
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeInvalidArgument || !strings.Contains(stream.Err().Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.req, stream.Err(), c.want)
		}
	}
	if a.usage.held() != 0 {
		t.Error("a refused one measures")
	}
}

// TestTopsPerUserAreBounded: a measurement costs whoever empties the rings.
func TestTopsPerUserAreBounded(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	ctx, cancel := context.WithCancel(t.Context())
	for range maxTopsPerUID {
		go func() {
			if s, err := client(a.socket).Top(ctx, &skepv1.TopRequest{Interval: durationpb.New(maxTopInterval)}); err == nil {
				s.Close()
			}
		}()
	}
	waitFor(t, "the measurements to begin", func() bool { return a.usage.held() == maxTopsPerUID })
	s, err := client(a.socket).Top(t.Context(), &skepv1.TopRequest{Interval: durationpb.New(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeResourceExhausted {
		t.Errorf("one more: %v", s.Err())
	}
	cancel()
	waitFor(t, "the measurements to end", func() bool { return a.usage.held() == 0 })
	a.first(t, &skepv1.TopRequest{})
}
