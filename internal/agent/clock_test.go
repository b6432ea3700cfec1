// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"
)

func TestClockTellsNow(t *testing.T) {
	c := newClock()
	for range 1000 {
		before := time.Now()
		wall := c.Wall(bootNS()).AsTime()
		after := time.Now()
		// Between the two readings of update lie at most some microseconds.
		if early, late := before.Sub(wall), wall.Sub(after); early > time.Millisecond || late > time.Millisecond {
			t.Fatalf("%v is not between %v and %v", wall, before, after)
		}
	}
}

// TestClockStep: when somebody sets the wall clock, records follow within an update, and
// the boot time in them does not notice.
func TestClockStep(t *testing.T) {
	c := newClock()
	boot := bootNS()
	right := c.Wall(boot).AsTime()
	c.offset.Add(-int64(time.Hour)) // as if the wall clock had been an hour behind
	if got := c.Wall(boot).AsTime(); right.Sub(got) != time.Hour {
		t.Errorf("before the step: %v, want an hour before %v", got, right)
	}
	c.update()
	if got := c.Wall(boot).AsTime().Sub(right).Abs(); got > time.Millisecond {
		t.Errorf("after the step it is off by %v", got)
	}
}

// TestClockBounds: no boot time makes a timestamp that is not one.
func TestClockBounds(t *testing.T) {
	c := newClock()
	for _, offset := range []int64{c.offset.Load(), 0, -int64(time.Hour)} {
		c.offset.Store(offset)
		for _, boot := range []uint64{0, 1, 999_999_999, 1 << 40, 1<<63 - 1, 1<<64 - 1} {
			if err := c.Wall(boot).CheckValid(); err != nil {
				t.Errorf("boot time %d with offset %d: %v", boot, offset, err)
			}
		}
	}
}
