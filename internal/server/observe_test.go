// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

func (a *agent) fill(k event.Kind, from, to uint64) {
	for seq := from; seq < to; seq++ {
		a.log.Append(k, record(k, seq))
	}
	a.log.Flush()
}

type stream = connect.ServerStreamForClient[skepv1.ObserveResponse]

func observe(t testing.TB, a *agent, req *skepv1.ObserveRequest) *stream {
	t.Helper()
	needRoot(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s, err := client(a.socket).Observe(ctx, req)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); s.Close() })
	return s
}

// awaitLive reads the past.
func awaitLive(t testing.TB, s *stream) (past []*skepv1.Record) {
	t.Helper()
	for s.Receive() {
		if s.Msg().GetLive() {
			return past
		}
		past = append(past, s.Msg().GetRecords()...)
	}
	t.Fatalf("the stream ended before it was live: %v", s.Err())
	return nil
}

func TestObservePastThenLive(t *testing.T) {
	a := startAgent(t)
	a.fill(event.Exec, 0, 2000)
	a.fill(event.Exit, 0, 10)
	s := observe(t, a, &skepv1.ObserveRequest{Last: 5, Follow: true, Filter: &skepv1.Filter{Kinds: []string{"exec"}}})
	past := awaitLive(t, s)
	if len(past) != 5 || past[0].GetSeq() != 1995 || past[4].GetSeq() != 1999 {
		t.Errorf("the past is %v", past)
	}
	a.fill(event.Exit, 10, 20)
	a.fill(event.Exec, 2000, 2001)
	if !s.Receive() || s.Msg().GetLive() || len(s.Msg().GetRecords()) != 1 || s.Msg().GetRecords()[0].GetSeq() != 2000 {
		t.Errorf("live: %v, %v", s.Msg(), s.Err())
	}
}

func TestObserveWithoutFollowEnds(t *testing.T) {
	a := startAgent(t)
	a.fill(event.Exec, 0, 1500)
	for _, c := range []struct {
		req  *skepv1.ObserveRequest
		want int
	}{
		{&skepv1.ObserveRequest{Last: 700}, 700},
		{&skepv1.ObserveRequest{Since: durationpb.New(time.Hour)}, 1500},
		{&skepv1.ObserveRequest{}, 0},
	} {
		s, got := observe(t, a, c.req), 0
		for s.Receive() {
			got += len(s.Msg().GetRecords())
			if n := len(s.Msg().GetRecords()); n > maxBatchRecords {
				t.Errorf("a message with %d records", n)
			}
		}
		if got != c.want || s.Err() != nil {
			t.Errorf("%v: %d records, want %d; %v", c.req, got, c.want, s.Err())
		}
	}
}

func TestObserveRefusesNonsense(t *testing.T) {
	a := startAgent(t)
	for _, req := range []*skepv1.ObserveRequest{
		{Filter: &skepv1.Filter{Where: "proces.pid == 1"}},
		{Filter: &skepv1.Filter{Kinds: []string{"exce"}}},
		{Since: durationpb.New(-time.Second)},
	} {
		s := observe(t, a, req)
		if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", req, s.Err())
		}
	}
	if n := len(a.log.Cursors()); n != 0 {
		t.Errorf("%d cursors are left", n)
	}
}

// account is what a client of the stream can tell about each kind.
type account struct {
	received, lost, next map[string]uint64
	wrong, losses        int
}

func newAccount() *account {
	return &account{received: map[string]uint64{}, lost: map[string]uint64{}, next: map[string]uint64{}}
}

// take checks that loss records stand where the records are missing.
func (c *account) take(records []*skepv1.Record) {
	for _, r := range records {
		if l := r.GetLoss(); l != nil {
			c.losses++
			c.lost[l.GetLostKind()] += l.GetCount()
			c.next[l.GetLostKind()] += l.GetCount()
			continue
		}
		if r.GetSeq() != c.next[r.GetKind()] {
			c.wrong++
		}
		c.received[r.GetKind()]++
		c.next[r.GetKind()]++
	}
}

func (c *account) complete(produced map[string]uint64) bool {
	for k, n := range produced {
		if c.received[k]+c.lost[k] < n {
			return false
		}
	}
	return true
}

func (c *account) check(t *testing.T, who string, produced map[string]uint64) {
	t.Helper()
	for k, n := range produced {
		if c.received[k]+c.lost[k] != n {
			t.Errorf("%s: %s: received %d + lost %d != produced %d", who, k, c.received[k], c.lost[k], n)
		}
	}
	if c.wrong > 0 {
		t.Errorf("%s: %d records are not where they belong", who, c.wrong)
	}
}

// A client that stops reading loses records, is told exactly which, costs the
// agent no memory and no other client anything.
func TestSlowClient(t *testing.T) {
	a := startAgent(t)
	slow := observe(t, a, &skepv1.ObserveRequest{Follow: true})
	awaitLive(t, slow)
	fast := observe(t, a, &skepv1.ObserveRequest{Follow: true})
	awaitLive(t, fast)

	var seen atomic.Uint64
	fastAccount, produced := newAccount(), map[string]uint64{}
	var reading sync.WaitGroup
	const total = 400_000
	reading.Go(func() {
		for seen.Load() < total && fast.Receive() {
			fastAccount.take(fast.Msg().GetRecords())
			seen.Add(uint64(len(fast.Msg().GetRecords())))
		}
	})
	before := liveHeap()
	for sent := uint64(0); sent < total; {
		for range 500 {
			k := event.Kind(rand.IntN(int(event.Loss)))
			a.log.Append(k, record(k, produced[k.String()]))
			produced[k.String()]++
			sent++
		}
		a.log.Flush()
		waitFor(t, "the fast client to follow", func() bool { return seen.Load()+1000 > sent })
	}
	reading.Wait()
	if grown := liveHeap() - before; grown > 20<<20 {
		t.Errorf("memory grew by %d MiB while a client did not read", grown>>20)
	}
	fastAccount.check(t, "fast", produced)
	if fastAccount.losses > 0 {
		t.Errorf("the fast client lost %v", fastAccount.lost)
	}
	slowAccount := newAccount()
	for !slowAccount.complete(produced) && slow.Receive() {
		slowAccount.take(slow.Msg().GetRecords())
	}
	slowAccount.check(t, "slow", produced)
	if slowAccount.losses == 0 {
		t.Error("the slow client lost nothing: the test did not test")
	}
	t.Logf("slow client: received %d of %d", slowAccount.received["exec"], produced["exec"])
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Only losses of the kinds that a client asked for are told.
func TestLossesFollowTheFilter(t *testing.T) {
	o := &observation{node: Node{ID: "n", BootID: "b", Name: "h"}, kinds: event.SetOf(event.Exec)}
	got := o.losses(event.Counts{event.Exec: 7, event.Exit: 9})
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	r := got[0]
	if l := r.GetLoss(); l.GetLostKind() != "exec" || l.GetCount() != 7 || l.GetPlace() != "subscriber" {
		t.Errorf("%v", l)
	}
	if r.GetNodeId() != "n" || r.GetBootId() != "b" || r.GetNodeName() != "h" || r.GetKind() != "loss" || r.GetBootNs() == 0 || time.Since(r.GetTime().AsTime()) > time.Minute {
		t.Errorf("envelope: %v", r)
	}
}

func TestStreamsPerUserAreBounded(t *testing.T) {
	needRoot(t)
	a := startAgent(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := client(a.socket)
	for i := range maxStreamsPerUID {
		s, err := c.Observe(ctx, &skepv1.ObserveRequest{Follow: true})
		if err != nil || !s.Receive() {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	s := observe(t, a, &skepv1.ObserveRequest{Follow: true})
	if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeResourceExhausted {
		t.Errorf("one more: %v", s.Err())
	}
	cancel()
	waitFor(t, "the streams to end", func() bool { return len(a.log.Cursors()) == 0 })
	awaitLive(t, observe(t, a, &skepv1.ObserveRequest{Follow: true}))
}

func TestStopEndsStreams(t *testing.T) {
	a := startAgent(t)
	s := observe(t, a, &skepv1.ObserveRequest{Follow: true})
	awaitLive(t, s)
	start := time.Now()
	a.stop()
	if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeUnavailable {
		t.Errorf("%v", s.Err())
	}
	if took := time.Since(start); took > shutdownGrace {
		t.Errorf("it took %v", took)
	}
}

func TestLogCloseEndsStreamsCleanly(t *testing.T) {
	a := startAgent(t)
	s := observe(t, a, &skepv1.ObserveRequest{Follow: true})
	awaitLive(t, s)
	a.log.Append(event.Agent, record(event.Agent, 0))
	a.log.Close()
	if !s.Receive() || len(s.Msg().GetRecords()) != 1 {
		t.Errorf("the last record did not arrive: %v", s.Err())
	}
	if s.Receive() || s.Err() != nil {
		t.Errorf("%v", s.Err())
	}
}

// TestLongFilter: whoever's filter is too long to be shown whole, the status can be read.
func TestLongFilter(t *testing.T) {
	a := startAgent(t)
	for _, pad := range []string{"", "x"} { // the cut is inside a character with one of them
		s := observe(t, a, &skepv1.ObserveRequest{Follow: true, Filter: &skepv1.Filter{Comms: []string{pad + strings.Repeat("é", 300)}}})
		awaitLive(t, s)
	}
	st, err := client(a.socket).GetStatus(t.Context(), &skepv1.GetStatusRequest{})
	if err != nil || len(st.GetSubscribers()) != 2 {
		t.Fatalf("%v, %v", st.GetSubscribers(), err)
	}
	for _, sub := range st.GetSubscribers() {
		if n := len(sub.GetFilter()); n < 200 || n > 300 {
			t.Errorf("the filter is shown in %d bytes: %s", n, sub.GetFilter())
		}
	}
}

func TestSubscribersAreInTheStatus(t *testing.T) {
	a := startAgent(t)
	s := observe(t, a, &skepv1.ObserveRequest{Follow: true, Filter: &skepv1.Filter{Pids: []uint32{7}}})
	awaitLive(t, s)
	a.fill(event.Exec, 0, 200) // two of them have pid 7
	var sub *skepv1.Subscriber
	waitFor(t, "two deliveries", func() bool {
		st, err := client(a.socket).GetStatus(t.Context(), &skepv1.GetStatusRequest{})
		if err != nil || len(st.GetSubscribers()) != 1 {
			t.Fatalf("%v, %v", st, err)
		}
		sub = st.GetSubscribers()[0]
		return sub.GetDelivered() == 2
	})
	if sub.GetFilter() != `{"pids":[7]}` || sub.GetWho()[:5] != "root " || sub.GetSince() == nil {
		t.Errorf("%v", sub)
	}
}

// TestUndecided: what an expression could not decide is told, in the past and while it is
// followed, although nothing matches.
func TestUndecided(t *testing.T) {
	a := startAgent(t)
	a.fill(event.Exec, 0, 10)
	filter := &skepv1.Filter{Where: `[1, 2][int(process.pid) + 7] == 1`}
	s := observe(t, a, &skepv1.ObserveRequest{Since: durationpb.New(time.Hour), Filter: filter, Follow: true})
	for _, live := range []bool{true, false} {
		if !s.Receive() || s.Msg().GetLive() != live || len(s.Msg().GetRecords()) != 0 {
			t.Fatalf("got %v, %v", s.Msg(), s.Err())
		}
		if u := s.Msg().GetUndecided(); u.GetCount() != 10 || !strings.Contains(u.GetReason(), "index out of bounds") {
			t.Errorf("live: %t: ten records could not be decided, and it says %v", !live, u)
		}
		a.fill(event.Exec, 10, 20)
	}
	counts, err := client(a.socket).CountRecords(t.Context(), &skepv1.CountRecordsRequest{
		Filter: filter, From: timestamppb.New(time.Now().Add(-time.Hour)), Step: durationpb.New(time.Hour)})
	if err != nil || counts.GetUndecided().GetCount() < 10 {
		t.Errorf("counted: %v, %v", counts, err)
	}
}
