// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// clock turns boot time into wall time. The offset between the two is measured again
// every second, so that records follow corrections of the wall clock.
type clock struct{ offset atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.update()
	return c
}

// update reads the wall clock between two readings of the boot clock. If they are far
// apart, something came between, and it tries again.
func (c *clock) update() {
	best := int64(math.MaxInt64)
	for range 5 {
		before := int64(bootNS())
		wall := time.Now().UnixNano()
		apart := int64(bootNS()) - before
		if apart < best {
			best = apart
			c.offset.Store(wall - before - apart/2)
		}
		if apart < int64(10*time.Microsecond) {
			return
		}
	}
}

// bootNS is CLOCK_BOOTTIME in nanoseconds.
func bootNS() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // the clock exists since Linux 2.6.39
	}
	return uint64(t.Nano())
}

// Wall implements identity.Clock.
func (c *clock) Wall(bootNS uint64) *timestamppb.Timestamp {
	t := &timestamppb.Timestamp{}
	c.set(t, bootNS)
	return t
}

func (c *clock) set(t *timestamppb.Timestamp, bootNS uint64) {
	wall := time.Unix(0, int64(bootNS)+c.offset.Load())
	t.Seconds, t.Nanos = wall.Unix(), int32(wall.Nanosecond())
}
