// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/test/day"
)

// cpu is the CPU time that this process has used: on a shared machine, unlike the time
// that passes, it says what one core could do.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppendAndClose: what a record costs from the event log into the write-ahead
// log, and from there into a segment, all threads together. The promise is 200,000
// records a second on one core, 5,000 ns for both, and 60 bytes a record.
func BenchmarkAppendAndClose(b *testing.B) {
	const n = 100_000
	d := day.New(day.Start, 20*time.Millisecond)
	records := make([]*skepv1.Record, n)
	kinds := make([]event.Kind, n)
	for i := range records {
		records[i] = d.Next()
		kinds[i], _ = event.KindOf(records[i])
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as skepd close-log does
	dir := b.TempDir()
	// The least of all rounds: what others do on the machine only ever adds to it.
	appended, closed := time.Hour, time.Hour
	var logBytes, segmentBytes int64
	id := uint64(0)
	for b.Loop() {
		id++
		start := cpu()
		l, err := openLog(dir, id, 0, nothing)
		if err != nil {
			b.Fatal(err)
		}
		for i, r := range records {
			if err := l.add(kinds[i], r); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.flush(); err != nil {
			b.Fatal(err)
		}
		l.file.Sync()
		l.close()
		logBytes += l.size
		appended = min(appended, cpu()-start)
		start = cpu()
		if _, err := CloseLog(context.Background(), dir, id); err != nil {
			b.Fatal(err)
		}
		closed = min(closed, cpu()-start)
		os.Remove(filepath.Join(dir, logName(id)))
		periods, err := readCatalog(dir)
		if err != nil {
			b.Fatal(err)
		}
		segmentBytes += periods[len(periods)-1].bytes
		removeSegments(dir, id)
	}
	per := float64(b.N) * n
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(appended)/n, "append-ns/record")
	b.ReportMetric(float64(closed)/n, "close-ns/record")
	b.ReportMetric(1e9*n/float64(appended+closed), "records/s")
	b.ReportMetric(float64(logBytes)/per, "log-bytes/record")
	b.ReportMetric(float64(segmentBytes)/per, "bytes/record")
}

// BenchmarkQuery asks a store of BENCH_RECORDS records (default a million; the promise is
// about ten million) in segments and a log.
func BenchmarkQuery(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("BENCH_RECORDS"))
	if err != nil {
		n = 1_000_000
	}
	s, rare := bigStore(b, n)
	for _, q := range []struct {
		name string
		spec *skepv1.Filter
	}{
		{"comm in all segments", &skepv1.Filter{Comms: []string{"df"}}},
		{"prefix and port", &skepv1.Filter{Addrs: []string{"10.42.0.8/30"}, Ports: []uint32{40000}}},
		{"exit code by expression", &skepv1.Filter{Kinds: []string{"exit"}, Where: "exit.code == 1 && process.comm == 'df'"}},
		{"pid in few segments", &skepv1.Filter{Pids: []uint32{rare.GetProcess().GetPid()}}},
		{"exec_id in few segments", &skepv1.Filter{Where: strconv.Quote(rare.GetProcess().GetExecId()) + " == process.exec_id"}},
		{"nothing", &skepv1.Filter{Comms: []string{"nobody"}}},
	} {
		b.Run(q.name, func(b *testing.B) {
			filter, err := filters.Compile(q.spec, filters.Deps{})
			if err != nil {
				b.Fatal(err)
			}
			found := 0
			start := cpu()
			for b.Loop() {
				past := s.Past()
				found = 0
				if _, err := past.Read(context.Background(), time.Time{}, time.Time{}, filter, func(*skepv1.Record) error { found++; return nil }); err != nil {
					b.Fatal(err)
				}
				past.Close()
			}
			b.ReportMetric(float64(found), "records")
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// BenchmarkCount counts all of the same store, and what it has to put together.
func BenchmarkCount(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("BENCH_RECORDS"))
	if err != nil {
		n = 1_000_000
	}
	s, _ := bigStore(b, n)
	for name, spec := range map[string]*skepv1.Filter{"all": {}, "where": {Kinds: []string{"exit"}, Where: "exit.code == 1"}} {
		b.Run(name, func(b *testing.B) {
			filter, err := filters.Compile(spec, filters.Deps{})
			if err != nil {
				b.Fatal(err)
			}
			found := 0
			start := cpu()
			for b.Loop() {
				past := s.Past()
				found = 0
				if _, _, err := past.Count(context.Background(), time.Time{}, time.Time{}, filter, func(string, int64, *skepv1.Record) { found++ }); err != nil {
					b.Fatal(err)
				}
				past.Close()
			}
			b.ReportMetric(float64(found), "records")
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// bigStore writes n records, all but the last part closed, and returns one of the middle.
func bigStore(b *testing.B, n int) (*Store, *skepv1.Record) {
	b.Helper()
	const each = 150_000
	dir := b.TempDir()
	d := day.New(day.Start, 20*time.Millisecond)
	var rare *skepv1.Record
	start := time.Now()
	for id := uint64(1); n > 0; id++ {
		l, err := openLog(dir, id, 0, nothing)
		if err != nil {
			b.Fatal(err)
		}
		for range min(n, each) {
			r := d.Next()
			if r.Kind == "exec" && (rare == nil || id < 3) {
				rare = r
			}
			k, _ := event.KindOf(r)
			if err := l.add(k, r); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.flush(); err != nil {
			b.Fatal(err)
		}
		l.close()
		if n -= each; n > 0 {
			closeLog(b, dir, id)
		}
	}
	b.Logf("written in %v", time.Since(start))
	s, err := New(Options{Dir: dir, Log: event.NewLog(event.LogOptions{})})
	if err != nil {
		b.Fatal(err)
	}
	s.Open()
	s.take(nil, event.Counts{})
	return s, rare
}
