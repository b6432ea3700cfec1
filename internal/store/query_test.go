// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/test/day"
)

// history is a store that holds a day's records: in segments, in a log, or in both.
func history(t testing.TB, records []*skepv1.Record, logs, closed int) *Store {
	t.Helper()
	dir := t.TempDir()
	each := len(records) / logs
	for i := range logs {
		part := records[i*each:]
		if i < logs-1 {
			part = part[:each]
		}
		writeRecords(t, dir, uint64(i+1), part)
		if i < closed {
			closeLog(t, dir, uint64(i+1))
		}
	}
	s, err := New(Options{Dir: dir, Log: event.NewLog(event.LogOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	s.Open()
	s.take(nil, event.Counts{})
	if err := s.Failing(); err != nil {
		t.Fatal(err)
	}
	return s
}

func closeLog(t testing.TB, dir string, id uint64) {
	t.Helper()
	if d, err := CloseLog(t.Context(), dir, id); err != nil || d.any() {
		t.Fatal(d, err)
	}
	if err := os.Remove(filepath.Join(dir, logName(id))); err != nil {
		t.Fatal(err)
	}
}

func ask(t testing.TB, s *Store, from, until time.Time, spec *skepv1.Filter) []*skepv1.Record {
	t.Helper()
	filter, err := filters.Compile(spec, filters.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	past := s.Past()
	defer past.Close()
	var got []*skepv1.Record
	missing, err := past.Read(t.Context(), from, until, filter, func(r *skepv1.Record) error {
		got = append(got, r)
		return nil
	})
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	return got
}

// TestReadBack compares what comes back, field by field, with what went in, and what a
// filter finds with what it finds among the records themselves.
func TestReadBack(t *testing.T) {
	d := day.New(day.Start, 20*time.Millisecond)
	var records []*skepv1.Record
	for range 4500 {
		records = append(records, d.Next())
	}
	records = append(records, odd()...)
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b *skepv1.Record) int {
		if older(a, b) {
			return -1
		}
		return 1
	})
	some := sorted[2000]
	for _, shape := range []struct{ logs, closed int }{{1, 0}, {1, 1}, {3, 2}} {
		s := history(t, records, shape.logs, shape.closed)
		for name, spec := range map[string]*skepv1.Filter{
			"all":       nil,
			"kind":      {Kinds: []string{"exit", "close"}},
			"pid":       {Pids: []uint32{some.Process.Pid}},
			"comm":      {Comms: []string{"curl", "nobody"}},
			"exe":       {Exes: []string{"/usr/bin/sed"}},
			"base name": {Exes: []string{"awk"}},
			"directory": {Exes: []string{"/opt/"}},
			"container": {Containers: []string{"app-3"}},
			"id":        {Containers: []string{d.Apps[2].Id[:14]}},
			"address":   {Addrs: []string{"10.42.0.3"}},
			"prefix":    {Addrs: []string{"10.42.0.8/29"}},
			"of DNS":    {Addrs: []string{"10.42.255.10"}},
			"port":      {Ports: []uint32{8080}},
			"uid":       {Uids: []uint32{1000, 10003}},
			"path":      {Paths: []string{"/var/lib/app/spool/07"}},
			"where":     {Where: "exit.code == 1"},
			"code":      {Where: "exit.code != 0"},
			"no code":   {Where: "exit.code == 0 && process.comm == 'sed'"},
			"number":    {Where: "connection.bytes_sent > 900 && process.uid != 10001"},
			"truth":     {Where: "exec.setuid"},
			"one of":    {Where: "dns.rcode in ['NXDOMAIN', 'REFUSED']"},
			"begin":     {Where: "file.path.startsWith('/var/log/')"},
			"number or": {Where: "exit.code == 1 || exec.ns_pid > 2000"},
			"exec_id":   {Where: fmt.Sprintf("process.exec_id == %q", some.Process.ExecId)},
			"label":     {Where: `"tier" in process.container.labels && process.container.labels.tier == "backend"`},
			"nothing":   {Comms: []string{"nobody"}},
			"two":       {Comms: []string{"sed"}, Containers: []string{"app-1"}},
		} {
			t.Run(fmt.Sprint(shape, name), func(t *testing.T) {
				filter, err := filters.Compile(spec, filters.Deps{})
				if err != nil {
					t.Fatal(err)
				}
				want := matching(sorted, filter.Match)
				if len(want) == 0 && name != "nothing" || len(want) == len(records) && name != "all" {
					t.Errorf("%d records of %d match: the test tests nothing", len(want), len(records))
				}
				compare(t, ask(t, s, time.Time{}, time.Time{}, spec), want)
			})
		}
		from, until := some.Time.AsTime(), some.Time.AsTime().Add(10*time.Second)
		t.Run(fmt.Sprint(shape, "span"), func(t *testing.T) {
			compare(t, ask(t, s, from, until, nil), matching(sorted, func(r *skepv1.Record) bool {
				return !r.Time.AsTime().Before(from) && !r.Time.AsTime().After(until)
			}))
		})
	}
}

// matching are the records that match.
func matching(records []*skepv1.Record, match func(*skepv1.Record) bool) (out []*skepv1.Record) {
	for _, r := range records {
		if match(r) {
			out = append(out, r)
		}
	}
	return out
}

func compare(t *testing.T, got, want []*skepv1.Record) {
	t.Helper()
	if len(got) != len(want) {
		have := map[string]bool{}
		for _, g := range got {
			have[fmt.Sprint(timeOf(g), g.Kind, g.Seq)] = true
		}
		for _, w := range want {
			if !have[fmt.Sprint(timeOf(w), w.Kind, w.Seq)] {
				t.Logf("missing: %v", w)
			}
		}
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	key := func(r *skepv1.Record) string { return fmt.Sprint(timeOf(r), r.Kind, r.Seq) }
	seen := map[string]*skepv1.Record{}
	for i, r := range got {
		seen[key(r)] = r
		if i > 0 && timeOf(r) < timeOf(got[i-1]) {
			t.Fatalf("record %d is older than the one before it", i)
		}
	}
	for _, w := range want {
		if g := seen[key(w)]; !proto.Equal(g, w) {
			t.Fatalf("got\n%v\nwant\n%v", g, w)
		}
	}
}

// TestLastCountsRecords: of the last n records n are there, beside the losses that lie
// between them.
func TestLastCountsRecords(t *testing.T) {
	records := someRecords(600)
	for i, r := range records { // no two at one time: their order would be open
		r.Time = timestamppb.New(day.Start.Add(time.Duration(i) * time.Millisecond))
		if i < 10 || i%5 != 0 {
			continue
		}
		records[i] = &skepv1.Record{NodeId: day.Node, BootId: day.Boot, Kind: "loss", Seq: uint64(i), Time: r.Time,
			Body: &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: "exec", Count: 1}}}
	}
	filter, err := filters.Compile(&skepv1.Filter{Uids: []uint32{0}}, filters.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	var want []uint64 // from behind, by definition
	losses := 0
	for i := len(records) - 1; len(want) < 40; i-- {
		switch {
		case records[i].Kind == "loss":
			losses++
		case filter.Match(records[i]):
			want = append(want, records[i].Seq)
		}
	}
	slices.Reverse(want)
	for _, shape := range []struct{ logs, closed int }{{1, 0}, {1, 1}, {3, 2}} {
		past := history(t, records, shape.logs, shape.closed).Past()
		defer past.Close()
		found, missing, err := past.Last(t.Context(), 40, time.Time{}, time.Time{}, filter)
		if err != nil || len(missing) > 0 {
			t.Fatal(missing, err)
		}
		var got []uint64
		told := 0
		for _, r := range found {
			if r.Kind == "loss" {
				told++
			} else {
				got = append(got, r.Seq)
			}
		}
		if !slices.Equal(got, want) || told != losses {
			t.Errorf("%v: %d records and %d losses, want %d and %d", shape, len(got), told, len(want), losses)
		}
	}
}

// TestLastIsBounded: what a search for the last records holds in memory is bounded over
// all periods together.
func TestLastIsBounded(t *testing.T) {
	records := someRecords(3 * event.MaxTailBytes / 4096)
	n := 0
	for _, r := range records {
		if exec := r.GetExec(); exec != nil {
			exec.ArgsRaw = make([]byte, 8<<10)
			n++
		}
	}
	filter, err := filters.Compile(&skepv1.Filter{Kinds: []string{"exec"}}, filters.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	past := history(t, records, 6, 0).Past()
	defer past.Close()
	if _, _, err := past.Last(t.Context(), n, time.Time{}, time.Time{}, filter); !errors.Is(err, event.ErrTailTooLarge) {
		t.Errorf("%d records of 8 KiB: %v", n, err)
	}
	if found, _, err := past.Last(t.Context(), 100, time.Time{}, time.Time{}, filter); err != nil || len(found) != 100 {
		t.Errorf("%d records of 100: %v", len(found), err)
	}
}

// TestUndecided: what an expression comes to no result for is counted on disk as it is among
// the records themselves, and not passed over unread.
func TestUndecided(t *testing.T) {
	records := someRecords(1500)
	for _, where := range []string{
		"int(process.comm) > 5", "1 / exit.code == 1", "process.comm == '' ? false : int(process.comm) > 5", "exit.code == 0 ? false : 1 / (exit.code - 1) == 1",
		"process.comm == 'sed' && int(process.exe) > 5", "exit.code > 0 && exit.code != 0 && int(process.comm) > 5",
	} {
		filter := func() *filters.Filter {
			f, err := filters.Compile(&skepv1.Filter{Where: where}, filters.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		want := filter()
		for _, r := range records {
			want.Match(r)
		}
		if want.Failures() == 0 {
			t.Errorf("%s: always comes to a result: the test tests nothing", where)
		}
		for closed := range 2 {
			past, got := history(t, records, 1, closed).Past(), filter()
			missing, err := past.Read(t.Context(), time.Time{}, time.Time{}, got, func(*skepv1.Record) error { return nil })
			past.Close()
			if err != nil || len(missing) > 0 || got.Failures() != want.Failures() {
				t.Errorf("%s: %d segments tell of %d, want %d: %v %v", where, closed, got.Failures(), want.Failures(), missing, err)
			}
		}
	}
}
