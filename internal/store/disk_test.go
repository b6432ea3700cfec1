// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/test/day"
)

// smallDisk mounts a file system of some MiB.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts a file system")
	}
	dir := t.TempDir()
	var flags uintptr
	if options == "ro" {
		flags = unix.MS_RDONLY
	}
	if err := unix.Mount("skep-test", dir, "tmpfs", flags, "size=4m"); err != nil {
		t.Skip("needs tmpfs: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// running is a store that takes what is appended to its log, until stop.
func running(t *testing.T, opts Options) (s *Store, log *event.Log, stop func()) {
	t.Helper()
	log = event.NewLog(event.LogOptions{Bytes: 64 << 20})
	opts.Log = log
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Open()
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	return s, log, func() {
		log.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func feed(log *event.Log, records []*skepv1.Record) {
	for _, r := range records {
		k, _ := event.KindOf(r)
		log.Append(k, r)
	}
	log.Flush()
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func total(c event.Counts) (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// TestFullDisk: with a full disk the store says so and counts; with room again it goes
// on. What is on disk and what is counted as lost are all that there was.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "")
	s, log, stop := running(t, Options{Dir: filepath.Join(dir, "store")})
	records := someRecords(30000)
	feed(log, records[:2000])
	eventually(t, "the first are stored", func() bool { return len(ask(t, s, time.Time{}, time.Time{}, nil)) == 2000 })
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	feed(log, records[2000:22000])
	eventually(t, "it is failing", func() bool { return s.Failing() != nil })
	if why := s.Status().Failing; !strings.Contains(why, "no space left on device") {
		t.Errorf("it says %q", why)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for i := 22000; i < 30000; i += 1000 {
		feed(log, records[i:i+1000])
		time.Sleep(500 * time.Millisecond)
	}
	eventually(t, "it works again", func() bool { return s.Failing() == nil })
	stop()
	stored := ask(t, stillStore(t, s.opts.Dir), time.Time{}, time.Time{}, nil)
	if lost := total(s.Losses()); lost == 0 || uint64(len(stored))+lost != 30000 {
		t.Errorf("of 30000 records %d are stored and %d lost", len(stored), lost)
	}
	if last := stored[len(stored)-1]; last.Seq != records[29999].Seq && last.Seq != records[29998].Seq && len(stored) < 7000 {
		t.Errorf("it did not recover: %d stored", len(stored))
	}
}

// TestReadOnlyDisk: a disk that cannot be written when the agent starts is no reason not
// to run, and is used once it can be.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "ro")
	s, log, stop := running(t, Options{Dir: filepath.Join(dir, "store")})
	records := someRecords(5000)
	feed(log, records[:1000])
	eventually(t, "1,000 are lost", func() bool { return total(s.Losses()) == 1000 })
	if why := s.Status().Failing; !strings.Contains(why, "read-only") {
		t.Errorf("it says %q", why)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(retryAfter)
	feed(log, records[1000:])
	eventually(t, "the rest is stored", func() bool { return len(ask(t, s, time.Time{}, time.Time{}, nil)) == 4000 })
	stop()
	if s.Failing() != nil || total(s.Losses()) != 1000 {
		t.Errorf("failing %v, lost %d", s.Failing(), total(s.Losses()))
	}
}

// TestRetention: the oldest periods go when there are too many bytes, and when they are
// too old; never the log that is written.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	const logBytes = 256 << 10
	s, log, stop := running(t, Options{Dir: dir, MaxBytes: 4 * logBytes, LogBytes: logBytes})
	records := someRecords(40000)
	for i := 0; i < len(records); i += 2000 {
		feed(log, records[i:i+2000])
		time.Sleep(100 * time.Millisecond)
	}
	eventually(t, "the budget is kept", func() bool {
		s.retain(time.Now())
		return s.Status().Bytes <= 4*logBytes
	})
	eventually(t, "all is closed", func() bool { return s.Status().Logs == 1 })
	got := ask(t, s, time.Time{}, time.Time{}, nil)
	newest := records[len(records)-1]
	if len(got) == 0 || len(got) >= len(records) || timeOf(got[len(got)-1]) < timeOf(newest)-int64(time.Second) {
		t.Errorf("%d records are kept", len(got))
	}
	onDisk := int64(0)
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		info, _ := f.Info()
		onDisk += info.Size()
	}
	if st := s.Status(); int64(st.Bytes) != onDisk || st.Segments == 0 {
		t.Errorf("status says %d bytes, the directory has %d: %v", st.Bytes, onDisk, st)
	}
	s.mu.Lock()
	s.opts.MaxAge = time.Hour
	s.mu.Unlock()
	s.retain(newest.Time.AsTime().Add(2 * time.Hour))
	if st := s.Status(); st.Segments != 0 || st.Logs != 1 {
		t.Errorf("after two hours there are %d segments and %d logs", st.Segments, st.Logs)
	}
	stop()
}

// TestGaps: what earlier agents numbered and did not store is known by its numbers, also
// where the last of it is in segments.
func TestGaps(t *testing.T) {
	records := someRecords(3000)
	// Numbers that begin anew far behind: only those behind their beginning were given.
	for begun, want := range map[uint64][]Gap{0: {{"exec", 0, 9_000_005}}, 9_000_000: {{"exec", 9_000_001, 9_000_005}}, 9_000_005: nil} {
		s := history(t, records, 1, 0)
		again, err := New(Options{Dir: s.opts.Dir, Log: event.NewLog(event.LogOptions{}), BootID: day.Boot,
			Numbered: map[string]uint64{"exec": 9_000_005}, Begun: begun})
		if err != nil {
			t.Fatal(err)
		}
		again.Open()
		again.take(nil, event.Counts{})
		gaps := again.Gaps()
		if begun == 0 && len(gaps) == 1 {
			gaps[0].First = 0 // behind the last on disk
		}
		if !slices.Equal(gaps, want) {
			t.Errorf("begun at %d: gaps %v, want %v", begun, gaps, want)
		}
	}
	for _, closed := range []int{0, 1} {
		s := history(t, records, 1, closed)
		last := map[string]uint64{}
		for _, r := range records {
			last[r.Kind] = max(last[r.Kind], r.Seq)
		}
		again, err := New(Options{Dir: s.opts.Dir, Log: event.NewLog(event.LogOptions{}), BootID: day.Boot,
			Numbered: map[string]uint64{"exec": last["exec"] + 5, "exit": last["exit"], "oom": 77, "close": last["close"] - 1}})
		if err != nil {
			t.Fatal(err)
		}
		again.Open()
		again.take(nil, event.Counts{})
		if gaps := again.Gaps(); len(gaps) != 1 || gaps[0] != (Gap{"exec", last["exec"] + 1, last["exec"] + 5}) {
			t.Errorf("closed %d: gaps %v", closed, gaps)
		}
	}
}

// TestGapsBesideDamage: a segment whose footer is damaged does not say what the disk has: the
// gap begins behind the newest one that is whole.
func TestGapsBesideDamage(t *testing.T) {
	records := someRecords(3000)
	s := history(t, records, 3, 3)
	last := map[uint64]uint64{} // of kind exec, by period
	for i, r := range records {
		if period := s.periods[i*3/len(records)].id; r.Kind == "exec" {
			last[period] = max(last[period], r.Seq)
		}
	}
	newest := s.periods[2] // behind it is the log that is open
	i := slices.IndexFunc(newest.segments, func(of segment) bool { return of.kind == "exec" })
	path := filepath.Join(s.opts.Dir, newest.segments[i].name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	given := last[newest.id] + 5
	for damaged, from := range map[bool]uint64{false: last[newest.id] + 1, true: last[s.periods[1].id] + 1} {
		text := bytes.Clone(whole)
		if damaged { // the last number, in the statistics of its column
			plain := binary.LittleEndian.AppendUint64(nil, last[newest.id])
			at := bytes.LastIndex(text, plain)
			if at < 0 {
				t.Fatal("the last number is not in the footer: the test tests nothing")
			}
			text[at] ^= 1
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := New(Options{Dir: s.opts.Dir, Log: event.NewLog(event.LogOptions{}), BootID: day.Boot, Numbered: map[string]uint64{"exec": given}})
		if err != nil {
			t.Fatal(err)
		}
		again.Open()
		again.take(nil, event.Counts{})
		if gaps := again.Gaps(); len(gaps) != 1 || gaps[0] != (Gap{"exec", from, given}) {
			t.Errorf("damaged %v: gaps %v, want one from %d to %d", damaged, gaps, from, given)
		}
		if n := again.Status().DamagedSegments; (n == 1) != damaged {
			t.Errorf("damaged %v: %d damaged segments", damaged, n)
		}
	}
}

// TestSlowDisk: a store that is overtaken by the event log counts what it missed.
func TestOvertaken(t *testing.T) {
	log := event.NewLog(event.LogOptions{Bytes: 1 << 20})
	s, err := New(Options{Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.Open()
	records := someRecords(20000)
	feed(log, records)
	log.Close()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored := len(ask(t, stillStore(t, s.opts.Dir), time.Time{}, time.Time{}, nil))
	if lost := total(s.Losses()); stored == 0 || lost == 0 || uint64(stored)+lost != 20000 {
		t.Errorf("%d stored, %d lost of 20000", stored, lost)
	}
}

// TestCloseFails: a log that cannot be closed stays, and those behind it are closed.
func TestCloseFails(t *testing.T) {
	dir := t.TempDir()
	for id := range uint64(3) {
		writeRecords(t, dir, id+1, someRecords(300))
	}
	stubborn := func(ctx context.Context, dir string, id uint64) (Damage, error) {
		if id == 1 {
			return Damage{}, errors.New("no")
		}
		return CloseLog(ctx, dir, id)
	}
	s, _, stop := running(t, Options{Dir: dir, LogBytes: 1, Close: stubborn}) // each log is full
	eventually(t, "the others are closed", func() bool { return s.Status().Logs == 2 && s.Status().Segments > 0 })
	if got := len(ask(t, s, time.Time{}, time.Time{}, nil)); got != 900 {
		t.Errorf("%d of 900 records", got)
	}
	stop()
}

// TestCloseNoLog: a file that is no log, such as a power cut leaves, closes into nothing,
// and its bytes are counted.
func TestCloseNoLog(t *testing.T) {
	dir := t.TempDir()
	junk := bytes.Repeat([]byte("no log"), 1000)
	for id, content := range map[uint64][]byte{1: nil, 2: junk, 3: []byte(fileMagic)[:3]} {
		if err := os.WriteFile(filepath.Join(dir, logName(id)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := CloseLog(t.Context(), dir, 2); err != nil || d.Bytes != uint64(len(junk)) {
		t.Errorf("close: %+v, %v", d, err)
	}
	s, _, stop := running(t, Options{Dir: dir})
	eventually(t, "they are gone", func() bool { return s.Status().Logs == 1 })
	if n := s.Status().DamagedBytes; n != uint64(len(junk))+3 {
		t.Errorf("%d bytes are damaged, want %d", n, len(junk)+3)
	}
	stop()
}
