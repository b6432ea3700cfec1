// SPDX-License-Identifier: Apache-2.0

package event

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/sample"
)

// drain reads what there is now, without waiting.
func drain(t *testing.T, c *Cursor) (seqs []uint64, lost Counts) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Next looks at the log before it looks at the context
	buf := make([]*skepv1.Record, 100)
	for {
		n, l, err := c.Next(ctx, buf)
		if errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
			return seqs, lost
		}
		if err != nil {
			t.Fatal(err)
		}
		for k := range l {
			lost[k] += l[k]
		}
		for _, r := range buf[:n] {
			seqs = append(seqs, r.GetSeq())
		}
	}
}

func fill(l *Log, from, to uint64) {
	for seq := from; seq < to; seq++ {
		l.Append(Exec, plain(Exec, seq))
	}
	l.Flush()
}

func numbers(from, to uint64) (list []uint64) {
	for ; from < to; from++ {
		list = append(list, from)
	}
	return list
}

func TestCursorStartsAtNow(t *testing.T) {
	l := NewLog(LogOptions{})
	fill(l, 0, 10)
	c := l.Subscribe(SubscribeOptions{})
	defer c.Close()
	if !c.Live() {
		t.Error("a cursor without a past is not live")
	}
	fill(l, 10, 700)
	if got, lost := drain(t, c); !slices.Equal(got, numbers(10, 700)) || lost != (Counts{}) {
		t.Errorf("got %d records, lost %v", len(got), lost)
	}
}

func TestPast(t *testing.T) {
	even := func(r *skepv1.Record) bool { return r.GetSeq()%2 == 0 }
	at := func(seq int) time.Time { return sample.Time.Add(time.Duration(seq) * time.Second) }
	for _, c := range []struct {
		name    string
		records uint64
		opts    SubscribeOptions
		want    []uint64
	}{
		{"last", 1000, SubscribeOptions{Last: 3}, numbers(997, 1000)},
		{"last over chunks", 1000, SubscribeOptions{Last: 600}, numbers(400, 1000)},
		{"last of all", 512, SubscribeOptions{Last: 512}, numbers(0, 512)},
		{"more than there are", 10, SubscribeOptions{Last: 99}, numbers(0, 10)},
		{"of an empty log", 0, SubscribeOptions{Last: 5}, nil},
		{"last matching", 1000, SubscribeOptions{Last: 2, Match: even}, []uint64{996, 998}},
		{"nothing matches", 1000, SubscribeOptions{Last: 2, Match: func(*skepv1.Record) bool { return false }}, nil},
		{"since", 1000, SubscribeOptions{Since: at(998)}, numbers(998, 1000)},
		{"since before all", 300, SubscribeOptions{Since: at(-5)}, numbers(0, 300)},
		{"since after all", 300, SubscribeOptions{Since: at(900)}, nil},
		{"last and since, last is later", 1000, SubscribeOptions{Last: 2, Since: at(900)}, numbers(998, 1000)},
		{"last and since, since is later", 1000, SubscribeOptions{Last: 500, Since: at(990)}, numbers(990, 1000)},
		{"other kinds only", 1000, SubscribeOptions{Last: 5, Kinds: SetOf(Exit)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewLog(LogOptions{})
			fill(l, 0, c.records)
			cursor := l.Subscribe(c.opts)
			defer cursor.Close()
			got, lost := drain(t, cursor)
			if !slices.Equal(got, c.want) || lost != (Counts{}) {
				t.Errorf("got %v, lost %v; want %v", got, lost, c.want)
			}
			if !cursor.Live() {
				t.Error("the past is read but the cursor is not live")
			}
		})
	}
}

// A batch must not straddle the border, or nobody could say where live begins.
func TestPastEndsBetweenBatches(t *testing.T) {
	l := NewLog(LogOptions{})
	fill(l, 0, 5)
	c := l.Subscribe(SubscribeOptions{Last: 3})
	defer c.Close()
	fill(l, 5, 9)
	buf := make([]*skepv1.Record, 100)
	for _, want := range []struct{ first, n uint64 }{{2, 3}, {5, 4}} {
		n, _, err := c.Next(t.Context(), buf)
		if err != nil || uint64(n) != want.n || buf[0].GetSeq() != want.first || !c.Live() {
			t.Fatalf("n %d, first %d, live %v, err %v; want %+v", n, buf[0].GetSeq(), c.Live(), err, want)
		}
	}
}

// A past in which nothing matches must still end, with nobody appending.
func TestPastWithoutMatchesEnds(t *testing.T) {
	l := NewLog(LogOptions{})
	fill(l, 0, 2000)
	c := l.Subscribe(SubscribeOptions{Since: sample.Time, Match: func(*skepv1.Record) bool { return false }})
	defer c.Close()
	n, lost, err := c.Next(t.Context(), make([]*skepv1.Record, 10))
	if n != 0 || lost != (Counts{}) || err != nil || !c.Live() {
		t.Errorf("n %d, lost %v, err %v, live %v", n, lost, err, c.Live())
	}
}

func TestLappedCursorLosesExactly(t *testing.T) {
	l := NewLog(LogOptions{Bytes: 400 << 10})
	c := l.Subscribe(SubscribeOptions{})
	defer c.Close()
	picky := l.Subscribe(SubscribeOptions{Kinds: SetOf(Exit)})
	defer picky.Close()
	const n = 10000
	for i := range uint64(n) {
		k := Exec
		if i%3 == 0 {
			k = Exit
		}
		l.Append(k, plain(k, i))
	}
	l.Flush()
	got, lost := drain(t, c)
	if len(got) == 0 || lost[Exec] == 0 || uint64(len(got))+lost[Exec]+lost[Exit] != n {
		t.Fatalf("received %d, lost %v of %d", len(got), lost, n)
	}
	if want := numbers(n-uint64(len(got)), n); !slices.Equal(got, want) {
		t.Error("what is left is not the newest, in order")
	}
	gotExit, lostExit := drain(t, picky)
	if lostExit[Exec] != 0 || uint64(len(gotExit))+lostExit[Exit] != (n+2)/3 {
		t.Errorf("of exits: received %d, lost %v of %d", len(gotExit), lostExit, (n+2)/3)
	}
	stats := l.Cursors()
	if len(stats) != 2 || stats[0].Lost != lost[Exec]+lost[Exit] || stats[0].Delivered != uint64(len(got)) {
		t.Errorf("stats %+v, received %d, lost %v", stats, len(got), lost)
	}
}

// The budget must hold for the heap that is really used, and must not be so
// careful that most of it is wasted.
func TestBudgetIsTheRealMemory(t *testing.T) {
	const budget = 8 << 20
	for name, make := range map[string]func(uint64) *skepv1.Record{
		"exec": sample.Exec, "close": sample.Close,
		"exit": func(i uint64) *skepv1.Record {
			r := sample.Envelope(Exit.String(), i)
			r.Body = &skepv1.Record_Exit{Exit: &skepv1.Exit{Code: 1, DurationNs: i}}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			shared := sample.Process()
			before := heap()
			l := NewLog(LogOptions{Bytes: budget})
			for i := range uint64(60000) {
				r := make(i)
				if name == "exec" { // its own process, but the table's container
					r.Process.Container = shared.Container
				} else {
					r.Process = shared
				}
				ownStrings(r.ProtoReflect())
				k, _ := KindOf(r)
				l.Append(k, r)
			}
			used := heap() - before
			t.Logf("budget %d KiB, estimated %d KiB, used %d KiB for %d records", budget>>10, l.Stats().Bytes>>10, used>>10, l.Stats().Records)
			if used > budget*5/4 || used < budget/3 {
				t.Errorf("used %d bytes of a budget of %d", used, budget)
			}
			runtime.KeepAlive(l)
		})
	}
}

// ownStrings gives a record strings of its own, as decoded ones are, but for
// those that all records of an agent share.
func ownStrings(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "node_id", f.Name() == "boot_id", f.Name() == "node_name", f.Name() == "kind", f.Name() == "container", f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(strings.Clone(v.List().Get(i).String())))
			}
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(strings.Clone(v.String())))
		case f.Message() != nil && f.Name() != "process":
			ownStrings(v.Message())
		case f.Name() == "process" && m.Has(m.Descriptor().Fields().ByName("exec")):
			ownStrings(v.Message())
		}
		return true
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestFlushWakesOnce(t *testing.T) {
	l := NewLog(LogOptions{})
	c := l.Subscribe(SubscribeOptions{})
	defer c.Close()
	batches := make(chan int, 100)
	go func() {
		buf := make([]*skepv1.Record, 512)
		for {
			n, _, err := c.Next(context.Background(), buf)
			if err != nil {
				close(batches)
				return
			}
			batches <- n
		}
	}()
	waitFor(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.waiting == 1 })
	for i := range uint64(100) {
		l.Append(Exec, plain(Exec, i))
	}
	time.Sleep(20 * time.Millisecond)
	if len(batches) != 0 {
		t.Error("the reader was woken before Flush")
	}
	l.Flush()
	if n := <-batches; n != 100 {
		t.Errorf("the first batch has %d records, want all 100", n)
	}
	l.Append(Exec, plain(Exec, 100))
	l.Close()
	if n := <-batches; n != 1 {
		t.Errorf("after Close the rest is %d records, want 1", n)
	}
	if _, open := <-batches; open {
		t.Error("no io.EOF after Close")
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	c := NewLog(LogOptions{}).Subscribe(SubscribeOptions{})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := c.Next(ctx, make([]*skepv1.Record, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestMark: what was there when the mark was set comes before it, what came later behind it.
func TestMark(t *testing.T) {
	l := NewLog(LogOptions{})
	c := l.Subscribe(SubscribeOptions{Kinds: SetOf(Exec), Match: func(r *skepv1.Record) bool { return r.GetSeq() <= 2 || r.GetSeq() > 300 }})
	waits := make(chan error)
	go func() { // woken although nothing was appended
		_, _, err := c.Next(t.Context(), make([]*skepv1.Record, 4))
		waits <- err
	}()
	waitFor(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.waiting > 0 })
	c.Mark()
	if err := <-waits; err != ErrMarked {
		t.Fatalf("got %v", err)
	}
	fill(l, 1, 301)
	c.Mark()
	c = c.Succeed(c.opts)
	fill(l, 301, 310)
	buf := make([]*skepv1.Record, 1000)
	for i, want := range []struct {
		n   int
		err error
	}{{2, nil}, {0, ErrMarked}, {9, nil}} {
		if n, lost, err := c.Next(t.Context(), buf); n != want.n || err != want.err || lost != (Counts{}) {
			t.Errorf("%d: got %d, lost %v, %v, want %v", i, n, lost, err, want)
		}
	}
	l.Close()
	if _, _, err := c.Next(t.Context(), buf); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// TestMarkOvertaken: the loss comes, then the mark.
func TestMarkOvertaken(t *testing.T) {
	l := NewLog(LogOptions{Bytes: 1})
	c := l.Subscribe(SubscribeOptions{})
	fill(l, 1, 10)
	c.Mark()
	fill(l, 11, 2000)
	if n, lost, err := c.Next(t.Context(), make([]*skepv1.Record, 10)); n != 0 || lost[Exec] == 0 || err != nil {
		t.Errorf("%d, %v, %v", n, lost, err)
	}
	if _, _, err := c.Next(t.Context(), make([]*skepv1.Record, 10)); err != ErrMarked {
		t.Errorf("got %v", err)
	}
}

// TestSkip: what would have been delivered is counted, and what was overwritten.
func TestSkip(t *testing.T) {
	l := NewLog(LogOptions{})
	c := l.Subscribe(SubscribeOptions{Match: func(r *skepv1.Record) bool { return r.GetSeq()%2 == 0 }})
	fill(l, 1, 1001)
	if left := c.Skip(); left[Exec] != 500 || c.Skip() != (Counts{}) {
		t.Errorf("left out %v", left)
	}
	c = l.Subscribe(SubscribeOptions{Kinds: SetOf(Exec, Loss)})
	for _, kind := range []Kind{Exec, Close} {
		l.Append(Loss, &skepv1.Record{Kind: "loss", Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: kind.String(), Count: 7, FirstSeq: 1, LastSeq: 7}}})
	}
	if left := c.Skip(); left[Exec] != 7 || left[Loss] != 2 || left[Close] != 0 {
		t.Errorf("left out %v, of which a loss told of 7", left)
	}
	small := NewLog(LogOptions{Bytes: 1})
	c = small.Subscribe(SubscribeOptions{})
	fill(small, 1, 1001)
	if left := c.Skip(); left[Exec] != 1000 {
		t.Errorf("left out %v", left)
	}
}

func TestClosedCursorIsGone(t *testing.T) {
	l := NewLog(LogOptions{})
	c := l.Subscribe(SubscribeOptions{Who: "me", Filter: "f"})
	if s := l.Cursors(); len(s) != 1 || s[0].Who != "me" || s[0].Filter != "f" || s[0].ID != c.ID() {
		t.Errorf("%+v", s)
	}
	c.Close()
	if s := l.Cursors(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		r    *skepv1.Record
		k    Kind
	}{{"exec", sample.Exec(1), Exec}, {"close", sample.Close(1), Close}} {
		b.Run(c.name, func(b *testing.B) {
			l := NewLog(LogOptions{})
			b.ReportAllocs()
			for b.Loop() {
				l.Append(c.k, c.r)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	l := NewLog(LogOptions{})
	r := sample.Exec(1)
	c := l.Subscribe(SubscribeOptions{})
	buf := make([]*skepv1.Record, 512)
	b.ReportAllocs()
	for b.Loop() { // per record
		l.Append(Exec, r)
		if l.counts[Exec]%512 == 0 {
			if _, _, err := c.Next(b.Context(), buf); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSize(b *testing.B) {
	r := sample.Exec(1)
	for b.Loop() {
		Size(r)
	}
}

// plain is a record that is cheap to make.
func plain(k Kind, seq uint64) *skepv1.Record {
	return &skepv1.Record{Kind: k.String(), Seq: seq, Time: timestamppb.New(sample.Time.Add(time.Duration(seq) * time.Second))}
}
