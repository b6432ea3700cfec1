// SPDX-License-Identifier: Apache-2.0

package agent

import (
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

func (c *clock) update() {
	c.offset.Store(time.Now().UnixNano() - int64(bootNS()))
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
	ns := int64(bootNS) + c.offset.Load()
	return &timestamppb.Timestamp{Seconds: ns / 1e9, Nanos: int32(ns % 1e9)}
}
