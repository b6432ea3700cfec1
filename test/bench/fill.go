// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/parquet-go/parquet-go"
	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/store"
	"github.com/skep-io/skep/test/day"
)

const (
	// fillStep is the mean time between two happenings, and fillSpan more than a record takes:
	// ten million of them are a day and a half.
	fillStep, fillSpan = 20 * time.Millisecond, 15 * time.Millisecond
	// fillBatch fits into the memory of the event log.
	fillBatch = 16000
	// What is looked for: a command in all segments, and one in a single one.
	commonComm, rareComm = "df", "needle"
	rareAddress          = "198.51.100.7"
)

// fillReport is what filling a directory took, and what is in it.
type fillReport struct {
	Records uint64
	Lost    uint64
	Append  []float64 // CPU per record of each batch, ns
	Close   []float64 // CPU of closing each log, ns
	Bytes   int64     // of the segments
	Closed  uint64    // records in them
	Common  int       // records of processes with that comm
	Rare    int
	Failed  int    // exits with another code than 0
	RareID  string // exec id of the rare command
}

// filler appends a mixed day to a disk log as the agent does, on one core.
type filler struct {
	dir, skepd string
	log        *event.Log
	store      *store.Store
	report     fillReport
	mu         sync.Mutex // of report.Close
}

// fillWorkload fills a directory, and closes all logs but the last.
func fillWorkload(dir, skepd, count string) (fillReport, error) {
	runtime.GOMAXPROCS(1)
	os.Setenv("GOMAXPROCS", "1") // of those who close
	n, err := strconv.Atoi(count)
	if err != nil {
		return fillReport{}, err
	}
	f := &filler{dir: dir, skepd: skepd, log: event.NewLog(event.LogOptions{})}
	f.store, err = store.New(store.Options{Dir: dir, Log: f.log, Close: f.close})
	if err != nil {
		return fillReport{}, err
	}
	f.store.Open()
	stored := make(chan error, 1)
	go func() { stored <- f.store.Run(context.Background()) }()
	f.append(n)
	if err := f.closed(); err != nil {
		return f.report, err
	}
	f.log.Close()
	if err := <-stored; err != nil {
		return f.report, err
	}
	for _, lost := range f.store.Losses() {
		f.report.Lost += lost
	}
	return f.report, f.size()
}

func (f *filler) append(n int) {
	d := day.New(time.Now().Add(-time.Duration(n)*fillSpan), fillStep)
	for f.report.Records < uint64(n) {
		batch := make([]*skepv1.Record, fillBatch)
		for i := range batch {
			batch[i] = d.Next()
		}
		if f.report.RareID == "" && f.report.Records >= uint64(n)/2 {
			f.plant(batch)
		}
		f.count(batch)
		for _, r := range batch {
			k, _ := event.KindOf(r)
			f.log.Append(k, r)
		}
		start := threadsCPU()
		f.log.Flush()
		f.report.Records += fillBatch
		for f.log.Cursors()[0].Delivered < f.report.Records {
			time.Sleep(time.Millisecond)
		}
		f.report.Append = append(f.report.Append, float64(threadsCPU()-start)/fillBatch)
	}
}

// count counts what will be asked for.
func (f *filler) count(batch []*skepv1.Record) {
	for _, r := range batch {
		switch r.GetProcess().GetComm() {
		case commonComm:
			f.report.Common++
		case rareComm:
			f.report.Rare++
		}
		if r.GetExit().GetCode() != 0 {
			f.report.Failed++
		}
	}
}

// plant makes one command of a batch the rare one, and one connection its.
func (f *filler) plant(batch []*skepv1.Record) {
	for _, r := range batch {
		p := r.GetProcess()
		switch {
		case f.report.RareID == "" && r.Kind == event.Exec.String() && p.GetComm() != commonComm:
			f.report.RareID, p.Comm = p.GetExecId(), rareComm
		case f.report.RareID != "" && r.Kind == event.Connect.String():
			r.GetConnection().Remote.Address = rareAddress
			return
		}
	}
}

// threadsCPU is the CPU time of this process, in ns.
func threadsCPU() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// close closes a log with the agent's own program, as the agent does.
func (f *filler) close(ctx context.Context, dir string, id uint64) (store.Damage, error) {
	c := exec.CommandContext(ctx, f.skepd, "close-log", "--dir", dir, strconv.FormatUint(id, 10))
	if out, err := c.CombinedOutput(); err != nil {
		return store.Damage{}, fmt.Errorf("%w: %s", err, out)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.Close = append(f.report.Close, float64(c.ProcessState.UserTime()+c.ProcessState.SystemTime()))
	return store.Damage{}, nil
}

// closed waits until only the log that is being written is there.
func (f *filler) closed() error {
	for begin := time.Now(); time.Since(begin) < 5*time.Minute; time.Sleep(50 * time.Millisecond) {
		logs, err := filepath.Glob(filepath.Join(f.dir, "*.wal"))
		if err != nil {
			return err
		}
		if len(logs) <= 1 {
			return nil
		}
	}
	return fmt.Errorf("fill %s: the logs are not closed", f.dir)
}

// size adds up the segments, and the rows that another reader sees in them.
func (f *filler) size() error {
	names, err := filepath.Glob(filepath.Join(f.dir, "*.parquet"))
	if err != nil {
		return err
	}
	for _, name := range names {
		rows, bytes, err := segmentSize(name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		f.report.Closed += rows
		f.report.Bytes += bytes
	}
	return nil
}

func segmentSize(name string) (rows uint64, bytes int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true))
	if err != nil {
		return 0, 0, err
	}
	return uint64(file.NumRows()), info.Size(), nil
}
