// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"testing"
	"time"
)

// TestNextTick: a ring is read soon at first, whether anything is there or not, then seldom
// while nothing comes, and at the usual pace from the first record on.
func TestNextTick(t *testing.T) {
	var got []time.Duration
	tick := groupFirstTick
	for range 8 {
		got = append(got, tick)
		tick = nextTick(tick, false)
	}
	for range 2 {
		got = append(got, tick)
		tick = nextTick(tick, true)
	}
	if want := "[1ms 2ms 4ms 8ms 16ms 32ms 40ms 40ms 40ms 10ms]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
