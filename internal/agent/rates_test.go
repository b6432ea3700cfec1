// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"math"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/event"
)

// A steady 1,000 execs a second are told as such at any moment, whenever the ticks come.
func TestRatesDivideByTheRealInterval(t *testing.T) {
	start := time.Unix(1e9, 0)
	now := start
	r := rates{counts: func() (c event.Counts) {
		c[event.Exec] = 5_000_000 + uint64(now.Sub(start).Milliseconds()) // what an earlier agent has counted is no rate
		return c
	}}
	if got := r.perSecond(now)[event.Exec]; got != 0 {
		t.Errorf("before the first tick: %v", got)
	}
	for i, wait := range []time.Duration{0, 1000, 1300, 700, 1000, 1000, 40, 1960, 1000, 1000, 1000, 1000, 1000, 2500, 1000} {
		now = now.Add(wait * time.Millisecond)
		r.tick(now)
		for _, later := range []time.Duration{10, 290, 400} {
			now = now.Add(later * time.Millisecond)
			if got := r.perSecond(now)[event.Exec]; math.Abs(got-1000) > 0.01 {
				t.Errorf("%d, %d ms after the tick: %v", i, later, got)
			}
		}
	}
	if got := r.perSecond(now)[event.Fork]; got != 0 {
		t.Errorf("forks: %v", got)
	}
}

// What has stopped is forgotten after ten seconds.
func TestRatesForget(t *testing.T) {
	now := time.Unix(1e9, 0)
	var counts event.Counts
	r := rates{counts: func() event.Counts { return counts }}
	r.tick(now)
	counts[event.Exec] = 1000
	for range 10 {
		now = now.Add(time.Second)
		r.tick(now)
	}
	if got := r.perSecond(now)[event.Exec]; got != 0 {
		t.Errorf("%v", got)
	}
}
