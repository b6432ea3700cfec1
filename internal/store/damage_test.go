// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/test/day"
)

func someRecords(n int) []*skepv1.Record {
	d := day.New(day.Start, 20*time.Millisecond)
	records := make([]*skepv1.Record, n)
	for i := range records {
		records[i] = d.Next()
	}
	return records
}

// byKey finds records again.
func byKey(records []*skepv1.Record) map[string]*skepv1.Record {
	m := map[string]*skepv1.Record{}
	for _, r := range records {
		m[r.Kind+stamp(timeOf(r))+string(rune(r.Seq))] = r
	}
	return m
}

// TestTornTail: of a log that was cut anywhere, all records of whole frames come back,
// and the rest is counted; a writer goes on behind them.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	records := someRecords(3000)
	writeRecords(t, dir, 1, records[:1000])
	whole, err := os.ReadFile(filepath.Join(dir, logName(1)))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		cut := fileHeader + rand.IntN(len(whole)-fileHeader)
		n := 0
		d, good, err := scanLog(bytes.NewReader(whole[:cut]), func(stored) error { n++; return nil })
		if err != nil || good > int64(cut) || int64(d.Bytes) != int64(cut)-good || d.Records != 0 {
			t.Fatalf("cut at %d: whole up to %d, %+v, %v", cut, good, d, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, logName(1)), whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	s := stillStore(t, dir)
	before := len(ask(t, s, time.Time{}, time.Time{}, nil))
	if torn := s.Status().DamagedBytes; torn == 0 || before == 0 || before >= 1000 {
		t.Errorf("%d bytes torn, %d of 1000 records", torn, before)
	}
	s.take(records[1000:2000], event.Counts{})
	if err := s.end(nil); err != nil {
		t.Fatal(err)
	}
	s = stillStore(t, dir)
	if got := len(ask(t, s, time.Time{}, time.Time{}, nil)); got != before+1000 || s.Status().DamagedBytes != 0 {
		t.Errorf("%d records after going on, want %d; %v", got, before+1000, s.Status())
	}
}

// TestDamagedLog: damage in the middle of a log costs an epoch at most.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	records := someRecords(20000)
	writeRecords(t, dir, 1, records)
	whole, err := os.ReadFile(filepath.Join(dir, logName(1)))
	if err != nil {
		t.Fatal(err)
	}
	want := byKey(records)
	for range 8 {
		bad := bytes.Clone(whole)
		bad[fileHeader+rand.IntN(len(bad)-fileHeader)] ^= 1 << rand.IntN(8)
		n := 0
		d, _, err := scanLog(bytes.NewReader(bad), func(r stored) error {
			got := &skepv1.Record{}
			if err := proto.Unmarshal(r.wire(nil), got); err != nil {
				t.Fatal(err)
			}
			if key := got.Kind + stamp(timeOf(got)) + string(rune(got.Seq)); !proto.Equal(got, want[key]) {
				t.Fatalf("wrong record %v", got)
			}
			n++
			return nil
		})
		if err != nil || !d.any() || d.Bytes > epochBytes+2*frameBytes {
			t.Fatalf("%+v, %v", d, err)
		}
		if n < 20000-4000 || n >= 20000 {
			t.Fatalf("%d of 20000 records came back", n)
		}
	}
}

// TestDamagedSegment: of a store with a damaged segment all others answer; what it says
// itself is right, and that it is damaged is in the answer and in the status.
func TestDamagedSegment(t *testing.T) {
	records := someRecords(4500)
	s := history(t, records, 3, 3)
	want := byKey(records)
	execs := 0
	for _, r := range records {
		if r.Kind == "exec" {
			execs++
		}
	}
	name := s.periods[1].segments[0].name
	for _, segment := range s.periods[1].segments {
		if segment.kind == "exec" {
			name = segment.name
		}
	}
	path := filepath.Join(s.opts.Dir, name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{"empty": {}, "cut": whole[:len(whole)/2], "other": bytes.Repeat([]byte("PAR1"), 1000)}
	for range 24 {
		bad := bytes.Clone(whole)
		for range 1 + rand.IntN(8) {
			bad[rand.IntN(len(bad))] ^= byte(1 + rand.IntN(255))
		}
		damages["random "+string(rune('a'+len(damages)))] = bad
	}
	told := 0
	for how, bad := range damages {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, missing := askAll(t, s, &skepv1.Filter{Kinds: []string{"exec"}})
		for _, r := range got {
			if w := want[r.Kind+stamp(timeOf(r))+string(rune(r.Seq))]; !proto.Equal(r, w) {
				t.Fatalf("%s: a wrong record came back: %v\nwant %v", how, r, w)
			}
		}
		switch {
		case len(missing) > 0 && (missing[0].File != name || !strings.Contains(missing[0].String(), name)):
			t.Errorf("%s: missing is %v", how, missing)
		case len(missing) == 0 && len(got) != execs:
			t.Errorf("%s: %d of %d records came back and nothing is said", how, len(got), execs)
		case len(missing) > 0:
			told++
		}
		if len(got) < execs/2 {
			t.Errorf("%s: only %d of %d records", how, len(got), execs)
		}
	}
	if told < len(damages)/2 || s.Status().DamagedSegments != 1 {
		t.Errorf("%d of %d damages noticed, status %v", told, len(damages), s.Status())
	}
}

func askAll(t *testing.T, s *Store, spec *skepv1.Filter) (got []*skepv1.Record, missing []Missing) {
	t.Helper()
	filter, err := filters.Compile(spec, filters.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	past := s.Past()
	defer past.Close()
	missing, err = past.Read(t.Context(), time.Time{}, time.Time{}, filter, func(r *skepv1.Record) error {
		got = append(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, missing
}

// TestUnopenedLogs: a log that cannot be opened, or is none, is named in every answer that
// may lack its records, once.
func TestUnopenedLogs(t *testing.T) {
	for name, spoil := range map[string]func(s *Store, path string) *Store{
		"removed": func(s *Store, path string) *Store {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return s
		},
		"no log": func(s *Store, path string) *Store {
			if err := os.WriteFile(path, []byte("this is no log"), 0o600); err != nil {
				t.Fatal(err)
			}
			return stillStore(t, s.opts.Dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			records := someRecords(3000)
			s := history(t, records, 3, 0)
			s = spoil(s, filepath.Join(s.opts.Dir, logName(2)))
			got, missing := askAll(t, s, nil)
			if len(got) != 2000 || len(missing) != 1 || missing[0].File != logName(2) {
				t.Errorf("%d records of 2000, missing %v", len(got), missing)
			}
			past := s.Past()
			defer past.Close()
			filter, err := filters.Compile(nil, filters.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			if last, missing, err := past.Last(t.Context(), 1500, time.Time{}, time.Time{}, filter); err != nil || len(last) != 1500 || len(missing) != 1 {
				t.Errorf("last: %d records, missing %v, %v", len(last), missing, err)
			}
			if oldest := past.Oldest(); !oldest.Equal(time.Unix(0, s.periods[0].span.from)) {
				t.Errorf("oldest is %v", oldest)
			}
		})
	}
}

// TestProcessesAtSaysWhatIsMissing: a table of the past that was made without one of its
// files says so.
func TestProcessesAtSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	d := day.New(day.Start, 20*time.Millisecond)
	origin := d.Next()
	init := &skepv1.ProcessInfo{Process: &skepv1.Process{ProcessId: "x-1", ExecId: "x-1-1", Pid: 1, Comm: "init"}}
	records := Snapshot([]*skepv1.ProcessInfo{init}, origin)
	for range 2000 {
		records = append(records, d.Next())
	}
	writeRecords(t, dir, 1, records)
	closeLog(t, dir, 1)
	s := stillStore(t, dir)
	at := records[len(records)-1].Time.AsTime()
	if all, missing, err := s.ProcessesAt(t.Context(), at); err != nil || len(missing) > 0 || len(all) == 0 {
		t.Fatalf("%d processes, missing %v, %v", len(all), missing, err)
	}
	damaged := ""
	for _, segment := range s.periods[0].segments {
		if segment.kind == "exit" {
			damaged = segment.name
		}
	}
	if err := os.WriteFile(filepath.Join(dir, damaged), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, missing, err := s.ProcessesAt(t.Context(), at); err != nil || len(all) == 0 || len(missing) != 1 || missing[0].File != damaged {
		t.Errorf("%d processes, missing %v, want %s; %v", len(all), missing, damaged, err)
	}
}

// TestForgedFrame: a user's arguments that are a frame, inside of a frame that is damaged,
// are not read as records. The forger knows the format, and the salt of another log.
func TestForgedFrame(t *testing.T) {
	const forged = "forged"
	for _, salt := range []uint32{0, 1, 0xdeadbeef} {
		e := newEncoder(salt)
		if err := e.add(&skepv1.Record{Kind: "exec", NodeId: forged, Time: timestamppb.New(day.Start), Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{}}}); err != nil {
			t.Fatal(err)
		}
		records := someRecords(20)
		for _, r := range records {
			if r.GetExec() != nil {
				r.GetExec().ArgsRaw = e.frame()
			}
		}
		dir := t.TempDir()
		writeRecords(t, dir, 1, records)
		path := filepath.Join(dir, logName(1))
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(whole, e.frame()) == 0 {
			t.Fatal("the arguments are not in the log: the test tests nothing")
		}
		whole[fileHeader+headerLen] ^= 1 // in the payload of the first frame
		n := 0
		d, _, err := scanLog(bytes.NewReader(whole), func(r stored) error {
			n++
			if bytes.Contains(r.wire(nil), []byte(forged)) {
				t.Error("a forged record was read")
			}
			return nil
		})
		if err != nil || !d.any() {
			t.Errorf("%d records, damage %+v, %v", n, d, err)
		}
	}
}

// TestBegunLog: a log that the agent was killed in the begin of, before its header was
// whole, is dropped, and is in the way of nothing.
func TestBegunLog(t *testing.T) {
	records := someRecords(100)
	for n := range fileHeader {
		dir := t.TempDir()
		writeRecords(t, dir, 1, records)
		if err := os.WriteFile(filepath.Join(dir, logName(2)), newFileHeader(7)[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := stillStore(t, dir)
		s.take(records[:10], event.Counts{})
		if err := s.end(nil); err != nil {
			t.Fatal(err)
		}
		got, missing := askAll(t, stillStore(t, dir), nil)
		if len(got) != 110 || len(missing) > 0 || s.Status().DamagedBytes != uint64(n) {
			t.Fatalf("of %d bytes: %d records of 110, missing %v, %d bytes counted", n, len(got), missing, s.Status().DamagedBytes)
		}
	}
}
