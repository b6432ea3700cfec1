// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/kern"
)

// costs measures what the agent itself costs: its process all the time, its programs
// while somebody looks.
type costs struct {
	kernel *kern.Kernel
	meter  kern.Meter

	mutex    sync.Mutex
	now, old sample
	rates    [10]event.Counts // received so far, one entry a second
	second   int
	counts   func() event.Counts
}

type sample struct {
	at       time.Time
	cpu      time.Duration
	programs map[uint32]kern.ProgramStats
}

func newCosts(k *kern.Kernel) *costs { return &costs{kernel: k} }

// run takes a sample a second.
func (c *costs) run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		c.take()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (c *costs) take() {
	s := sample{at: time.Now(), cpu: ownCPU(), programs: map[uint32]kern.ProgramStats{}}
	for _, p := range c.kernel.Stats() {
		s.programs[p.ID] = p
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.old, c.now = c.now, s
	if c.counts != nil {
		c.rates[c.second%len(c.rates)] = c.counts()
		c.second++
	}
}

// look returns the last two samples. If statistics were off, it turns them on and waits
// for a moment, so that the first look shows something too.
func (c *costs) look() (old, now sample, err error) {
	on, err := c.meter.Look()
	if err == nil && !on {
		c.take()
		time.Sleep(300 * time.Millisecond)
		c.take()
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.old, c.now, err
}

// perSecond is the rate of each kind over the last ten seconds, or since the start.
func (c *costs) perSecond() [event.NumKinds]float64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var rates [event.NumKinds]float64
	span := min(c.second, len(c.rates)) - 1
	if span < 1 {
		return rates
	}
	last := c.rates[(c.second-1)%len(c.rates)]
	first := c.rates[(c.second-1-span)%len(c.rates)]
	for kind := range rates {
		rates[kind] = float64(last[kind]-first[kind]) / float64(span)
	}
	return rates
}

func ownCPU() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
