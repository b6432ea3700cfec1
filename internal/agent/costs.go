// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
)

// costs measures what the agent itself costs: its process all the time, its programs
// while somebody looks. It also keeps the rates of events.
type costs struct {
	kernel *kern.Kernel
	meter  kern.Meter
	rates  rates
	second time.Duration // between samples

	looking  sync.Mutex // held for a whole look, so that nobody sees a sample from before statistics were on
	mutex    sync.Mutex
	now, old sample
}

type sample struct {
	at       time.Time
	cpu      time.Duration
	programs []kern.ProgramStats
}

// of is a program's statistics in the sample, zero if it was not attached then.
func (s *sample) of(id uint32) kern.ProgramStats {
	for _, p := range s.programs {
		if p.ID == id {
			return p
		}
	}
	return kern.ProgramStats{}
}

// newCosts takes the first sample.
func newCosts(k *kern.Kernel, second time.Duration) *costs {
	c := &costs{kernel: k, second: second}
	c.take()
	return c
}

// run takes a sample each second.
func (c *costs) run(ctx context.Context) error {
	ticker := time.NewTicker(c.second)
	defer ticker.Stop()
	for {
		c.take()
		c.rates.tick(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (c *costs) take() {
	s := sample{at: time.Now(), cpu: ownCPU(), programs: c.kernel.Stats()}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.old, c.now = c.now, s
}

// programs is the latest sample of the programs' statistics, a second old at most.
func (c *costs) programs() []kern.ProgramStats {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.now.programs
}

// latest is the latest sample.
func (c *costs) latest() sample {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.now
}

// look returns the last two samples. If statistics were off, it turns them on and waits
// for a moment, so that the first look shows something too.
func (c *costs) look() (old, now sample, err error) {
	c.looking.Lock()
	defer c.looking.Unlock()
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

// spent is the CPU time of the process and of its programs from one sample to the next.
func spent(from, to sample) time.Duration {
	total := to.cpu - from.cpu
	for _, p := range to.programs {
		total += max(0, p.RunTime-from.of(p.ID).RunTime)
	}
	return total
}

func ownCPU() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
