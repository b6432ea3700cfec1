// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

var node = Node{ID: "n", BootID: "b", Name: "host one", Version: "1"}

func filter(t *testing.T, spec *skepv1.Filter) *filters.Filter {
	t.Helper()
	f, err := filters.Compile(spec, filters.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// house is a log and what writes to it.
type house struct {
	t   *testing.T
	log *event.Log
	seq uint64
}

func newHouse(t *testing.T, bytes int) *house {
	return &house{t: t, log: event.NewLog(event.LogOptions{Bytes: bytes})}
}

// write appends exec records of the process with this pid.
func (h *house) write(n int, pid uint32) {
	for range n {
		h.seq++
		h.log.Append(event.Exec, &skepv1.Record{
			NodeId: "n", BootId: "b", Kind: "exec", Seq: h.seq, Time: timestamppb.New(time.Unix(1700000000, 123456789)),
			Process: &skepv1.Process{Pid: pid, Comm: "tool"},
			Body:    &skepv1.Record_Exec{Exec: &skepv1.Exec{Args: []string{"tool", "\x1b[31m\n"}}},
		})
	}
	h.log.Flush()
}

// start runs an output; end closes the log and waits for the output to have delivered it.
func (h *house) start(spec *Spec) (o *Output, end func()) {
	h.t.Helper()
	o = New("test", spec, Deps{Log: h.log, Node: node, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(ctx)
	}()
	h.t.Cleanup(cancel)
	return o, func() {
		h.t.Helper()
		h.log.Close()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			h.t.Fatalf("the output does not end: %+v", o.Stats())
		}
	}
}

func within(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// fake is a receiver that a test controls.
type fake struct {
	got     []*skepv1.Record
	fail    chan error // one for each attempt; closed: no more failures
	refuses func(*skepv1.Record) bool
	closed  int
	tried   chan int // if it is there, gets the size of each batch
}

func (f *fake) send(ctx context.Context, records []*skepv1.Record, refused refuse) (int, error) {
	if f.tried != nil {
		f.tried <- len(records)
	}
	select {
	case err := <-f.fail:
		if err != nil {
			return 0, err
		}
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for _, r := range records {
		if f.refuses != nil && f.refuses(r) {
			refused(r.GetKind(), 1, fmt.Errorf("not wanted"))
			continue
		}
		f.got = append(f.got, r)
	}
	return len(records), nil
}

func (f *fake) close() { f.closed++ }

func working() chan error {
	c := make(chan error)
	close(c)
	return c
}

// TestRetry: what failed comes, once and in order.
func TestRetry(t *testing.T) {
	h := newHouse(t, 0)
	f := &fake{fail: make(chan error, 3)}
	for range 3 {
		f.fail <- fmt.Errorf("down")
	}
	o, end := h.start(&Spec{Filter: filter(t, nil), receiver: f})
	h.write(10, 1)
	within(t, "three failures", func() error {
		if s := o.Stats(); s.Failures != 3 || s.LastError != "down" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	close(f.fail)
	end()
	if len(f.got) != 10 {
		t.Errorf("%d records came", len(f.got))
	}
	for i, r := range f.got {
		if r.GetSeq() != uint64(i+1) {
			t.Errorf("record %d has number %d", i, r.GetSeq())
		}
	}
	if s := o.Stats(); s.Delivered != 10 || len(s.Lost) != 0 || s.LastError != "" || f.closed != 1 {
		t.Errorf("%+v, closed %d times", s, f.closed)
	}
}

// TestOvertaken: a receiver that is away for longer than the log lasts: the writer is
// never slowed, and received + lost = written.
func TestOvertaken(t *testing.T) {
	h := newHouse(t, 1<<20)
	f := &fake{fail: make(chan error)}
	o, end := h.start(&Spec{Filter: filter(t, nil), receiver: f})
	const n = 20000
	start := time.Now()
	h.write(n, 1)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("writing took %v beside a receiver that does not answer", took)
	}
	close(f.fail)
	end()
	got, told := uint64(0), uint64(0)
	for _, r := range f.got {
		if l := r.GetLoss(); l != nil {
			told += l.Count
			if l.Place != "ship:test" || l.LostKind != "exec" {
				t.Errorf("loss: %v", l)
			}
		} else {
			got++
		}
	}
	s := o.Stats()
	if told == 0 || got+told != n || s.Lost["exec"] != told || s.Delivered != uint64(len(f.got)) {
		t.Errorf("of %d came %d, told lost %d, status %+v", n, got, told, s)
	}
	if news := o.NewLosses(); news["exec"] != told || len(o.NewLosses()) != 0 {
		t.Errorf("for the stream: %v, and again %v", news, o.NewLosses())
	}
}

func TestRefused(t *testing.T) {
	h := newHouse(t, 0)
	f := &fake{fail: working(), refuses: func(r *skepv1.Record) bool { return r.GetSeq()%2 == 0 }}
	o, end := h.start(&Spec{Filter: filter(t, nil), receiver: f})
	h.write(10, 1)
	end()
	if s := o.Stats(); s.Delivered != 5 || s.Lost["exec"] != 5 || s.LastError != "not wanted" {
		t.Errorf("%+v", s)
	}
}

// TestReplace: new settings take over in the middle of a failure, and nothing is lost.
func TestReplace(t *testing.T) {
	h := newHouse(t, 0)
	stuck, next := &fake{fail: make(chan error), tried: make(chan int, 1)}, &fake{fail: working()}
	o, end := h.start(&Spec{Filter: filter(t, nil), receiver: stuck, Target: "one", Linger: 500 * time.Millisecond})
	h.write(5, 1)
	if n := <-stuck.tried; n != 5 {
		t.Fatalf("%d records are in hand", n)
	}
	o.Replace(&Spec{Filter: filter(t, &skepv1.Filter{Pids: []uint32{2}}), receiver: next, Target: "two"})
	within(t, "the batch in hand", func() error {
		if s := o.Stats(); s.Delivered != 5 || s.Target != "two" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	h.write(3, 1)
	h.write(2, 2)
	end()
	if len(next.got) != 7 || next.got[6].GetProcess().GetPid() != 2 || len(o.Stats().Lost) != 0 || stuck.closed != 1 {
		t.Errorf("%d records, %+v", len(next.got), o.Stats())
	}
}

// TestStopUndelivered: what cannot be delivered before the stop is counted, be it in hand
// or still in the log.
func TestStopUndelivered(t *testing.T) {
	h := newHouse(t, 0)
	f := &fake{fail: make(chan error)}
	o := New("test", &Spec{Filter: filter(t, &skepv1.Filter{Pids: []uint32{1}}), receiver: f}, Deps{Log: h.log, Node: node, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	go o.Run(ctx)
	h.write(4, 1)
	f.fail <- fmt.Errorf("down") // so it has them in hand
	h.write(maxBatch+100, 1)
	h.write(10, 2) // not for it
	cancel()
	<-o.Ended()
	if s := o.Stats(); s.Delivered != 0 || s.Lost["exec"] != 4+maxBatch+100 || len(h.log.Cursors()) != 0 {
		t.Errorf("%+v, %d readers left", s, len(h.log.Cursors()))
	}
}

// TestSettle: it waits for what is in the log, and the output goes on.
func TestSettle(t *testing.T) {
	h := newHouse(t, 0)
	f := &fake{fail: make(chan error, 1)}
	o, end := h.start(&Spec{Filter: filter(t, nil), receiver: f})
	h.write(2*maxBatch, 1)
	f.fail <- nil // the first batch only
	within(t, "the first batch", func() error {
		if s := o.Stats(); s.Delivered == 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if o.Settle(short) {
		t.Error("settled before all was delivered")
	}
	close(f.fail)
	patient, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-o.caught:
	case <-patient.Done():
		t.Fatalf("never settled: %+v", o.Stats())
	}
	if s := o.Stats(); s.Delivered != 2*maxBatch {
		t.Errorf("settled with %+v", s)
	}
	h.write(3, 1)
	end()
	if s := o.Stats(); s.Delivered != 2*maxBatch+3 || len(s.Lost) > 0 || !o.Settle(context.Background()) {
		t.Errorf("%+v", s)
	}
}

// TestSettleIdle: an output for which nothing comes is settled at once.
func TestSettleIdle(t *testing.T) {
	h := newHouse(t, 0)
	o, end := h.start(&Spec{Filter: filter(t, &skepv1.Filter{Pids: []uint32{2}}), receiver: &fake{fail: working()}, Linger: time.Hour})
	h.write(10, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !o.Settle(ctx) {
		t.Error("not settled")
	}
	end()
}
