// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Sink takes what the rings hold. Records are valid only during the call.
type Sink interface {
	Critical(record []byte)
	Telemetry(record []byte)
	// Flush is called after each pass over both rings, also when nothing came.
	Flush()
}

// readerTick is how often the rings are emptied: a wake-up for each record would cost the producer
// 15 to 20 times the record, and each tick some ten context switches. A burst does not wait
// for it, because a filling ring wakes its reader early.
const readerTick = 50 * time.Millisecond

// criticalEvery is how many telemetry records are read at most before the critical ring
// is looked at again, which costs two loads if nothing is in it.
const criticalEvery = 64

// readerNice is the nice value of the thread that empties the rings.
const readerNice = -10

// Reader empties both rings in an order in which no record comes before what it
// rests on: the end of the telemetry ring is noted first, then all of the critical
// ring is read, then telemetry up to the note. So whatever a process did is read
// after the exec that made it.
type Reader struct {
	critical, telemetry *ring
	wakeups             *wakeups
	passes              atomic.Uint64
}

// Reader opens the rings where the last agent stopped.
func (k *Kernel) Reader() (*Reader, error) {
	critical, err := k.ring("critical")
	if err != nil {
		return nil, err
	}
	telemetry, err := k.ring("telemetry")
	if err != nil {
		critical.close()
		return nil, err
	}
	wakeups, err := watch(critical, telemetry)
	if err != nil {
		critical.close()
		telemetry.close()
		return nil, err
	}
	return &Reader{critical: critical, telemetry: telemetry, wakeups: wakeups}, nil
}

func (k *Kernel) ring(name string) (*ring, error) {
	m, err := k.Map(name)
	if err != nil {
		return nil, err
	}
	r, err := openRing(m)
	if err != nil {
		return nil, fmt.Errorf("open ring %s: %w", name, err)
	}
	return r, nil
}

// Resident is how many bytes of this process's resident memory are the rings' pages, which
// MapMemory counts too.
func (r *Reader) Resident() uint64 { return r.critical.resident() + r.telemetry.resident() }

// Run empties the rings until ctx ends, and once more then.
func (r *Reader) Run(ctx context.Context, sink Sink) error {
	// On a host without an idle CPU this thread decides whether records get lost: it alone
	// runs at a higher priority. Without CAP_SYS_NICE it does not, and works.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, readerNice)
	defer context.AfterFunc(ctx, r.wakeups.interrupt)()
	for ctx.Err() == nil {
		if _, err := r.wakeups.wait(readerTick); err != nil {
			return err
		}
		r.Pass(sink)
	}
	r.Pass(sink)
	return nil
}

// Pass empties both rings once.
func (r *Reader) Pass(sink Sink) {
	end := r.telemetry.produced()
	// A record being written right now may be what the telemetry rests on: give it a moment.
	for i := 0; !r.critical.drain(r.critical.produced(), sink.Critical) && i < 100; i++ {
		runtime.Gosched()
	}
	n := 0
	r.telemetry.drain(end, func(record []byte) {
		sink.Telemetry(record)
		if n++; n%criticalEvery == 0 {
			r.critical.drain(r.critical.produced(), sink.Critical)
		}
	})
	sink.Flush()
	r.passes.Add(1)
}

// catchUpFor bounds CatchUp where the reader has too much to do.
const catchUpFor = 100 * time.Millisecond

// CatchUp waits until what was in the rings when it was called has been handed on, so that
// who asks for what has just happened is told. It may be called while Run runs.
func (r *Reader) CatchUp(ctx context.Context) {
	want := r.passes.Load() + 2 // the one under way may have begun before
	for end := time.Now().Add(catchUpFor); r.passes.Load() < want && time.Now().Before(end) && ctx.Err() == nil; {
		r.wakeups.interrupt() // ends its wait; after Close nothing waits
		time.Sleep(200 * time.Microsecond)
	}
}

// Close frees the mappings.
func (r *Reader) Close() error {
	r.critical.close()
	r.telemetry.close()
	return r.wakeups.close()
}
