// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Sink takes what the rings hold. Records are valid only during the call.
type Sink interface {
	Critical(record []byte)
	Telemetry(record []byte)
	// Flush is called after each pass over both rings, about every 15 ms also when nothing came.
	Flush()
}

// tick is how often the rings are emptied. A wake-up for each record would cost
// the producer 15 to 20 times the record.
const tick = 15 * time.Millisecond

// Reader empties both rings in an order in which no record comes before what it
// rests on: the end of the telemetry ring is noted first, then all of the critical
// ring is read, then telemetry up to the note. So whatever a process did is read
// after the exec that made it.
type Reader struct {
	critical, telemetry *ring
	epoll               int
}

// Reader opens the rings where the last agent stopped.
func (k *Kernel) Reader() (*Reader, error) {
	r := &Reader{epoll: -1}
	for name, to := range map[string]**ring{"critical": &r.critical, "telemetry": &r.telemetry} {
		m, err := k.Map(name)
		if err != nil {
			return nil, err
		}
		if *to, err = openRing(m); err != nil {
			return nil, fmt.Errorf("open ring %s: %w", name, err)
		}
	}
	var err error
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("watch rings: %w", err)
	}
	for _, ring := range []*ring{r.critical, r.telemetry} {
		// Edge-triggered: returns on the forced wake-ups of a filling ring, not whenever it holds data.
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(ring.fd)}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, ring.fd, &event); err != nil {
			return nil, fmt.Errorf("watch ring: %w", err)
		}
	}
	return r, nil
}

// Run empties the rings until ctx ends, and once more then.
func (r *Reader) Run(ctx context.Context, sink Sink) error {
	events := make([]unix.EpollEvent, 2)
	for ctx.Err() == nil {
		_, err := unix.EpollWait(r.epoll, events, int(tick/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for rings: %w", err)
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
	r.telemetry.drain(end, sink.Telemetry)
	sink.Flush()
}

// Close frees the mappings.
func (r *Reader) Close() error {
	r.critical.close()
	r.telemetry.close()
	return unix.Close(r.epoll)
}
