// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"runtime/debug"
	gometrics "runtime/metrics"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/budget"
	"github.com/skep-io/skep/internal/config"
)

// keeper keeps the agent within the limits of its configuration.
type keeper struct {
	agent *Agent
	clock budgetClock
	last  sample // of costs, that is accounted for

	mutex      sync.Mutex
	controller *budget.Controller
	history    map[string]*shedding // by sensor
}

// budgetClock is the time by which the controller decides: tests make its seconds shorter.
type budgetClock struct {
	begun  time.Time
	second time.Duration
}

func (c budgetClock) now() time.Time { return c.begun.Add(c.of(time.Since(c.begun))) }

// of is what has passed by this clock.
func (c budgetClock) of(passed time.Duration) time.Duration {
	return time.Duration(passed.Seconds() / c.second.Seconds() * float64(time.Second))
}

func (o *Options) second() time.Duration { return cmp.Or(o.Second, time.Second) }

// shedding is the last time that a sensor was shed.
type shedding struct {
	since  time.Time
	reason string
	times  uint64
}

func newKeeper(a *Agent) *keeper {
	k := &keeper{agent: a, clock: budgetClock{begun: time.Now(), second: a.options.second()}, history: map[string]*shedding{}}
	var order []string
	for _, s := range shedOrder {
		order = append(order, s.sensor.Name)
		k.history[s.sensor.Name] = &shedding{}
	}
	k.controller = budget.New(order)
	return k
}

// run decides once a second.
func (k *keeper) run(ctx context.Context) error {
	ticker := time.NewTicker(k.clock.second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		limits := k.agent.inForce.Load().Limits
		if load, ok := k.measure(limits); ok {
			k.do(ctx, k.decide(limits, load))
		}
	}
}

// measure is what the agent has cost since the last time, as far as there is a limit; not ok
// if nothing new was measured.
func (k *keeper) measure(limits config.Limits) (load budget.Load, ok bool) {
	before, now := k.last, k.agent.costs.latest()
	if now.at.Equal(before.at) {
		return load, false
	}
	k.last = now
	if limits.CPU > 0 {
		on, err := k.agent.costs.meter.Look() // keeps the programs' statistics on
		if err != nil {
			k.agent.logger.Warn("the budget does not know what the programs cost", "error", err)
		}
		if !on {
			return load, false
		}
		load.CPU = share(spent(before, now), now.at.Sub(before.at))
	}
	if limits.Memory > 0 {
		m := k.agent.memory()
		load.Memory = m.ResidentBytes + m.KernelMapsBytes
	}
	return load, true
}

func (k *keeper) decide(limits config.Limits, load budget.Load) budget.Decision {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.controller.Limit(budget.Load{CPU: float64(limits.CPU), Memory: uint64(limits.Memory)})
	return k.controller.Decide(k.clock.now(), load, k.agent.mayShed)
}

func (k *keeper) do(ctx context.Context, d budget.Decision) {
	switch d.Verb {
	case budget.Reclaim:
		k.reclaim()
	case budget.Shed:
		k.note(d.Step, func(h *shedding) { *h = shedding{time.Now(), d.Why, h.times + 1} })
		k.agent.shed(ctx, sheddableOf(d.Step), d.Why)
	case budget.Restore:
		var since time.Time
		k.note(d.Step, func(h *shedding) { since = h.since })
		if err := k.agent.restore(ctx, sheddableOf(d.Step), time.Since(since)); err != nil {
			k.agent.logger.Error("sensor not taken back: it is tried again later", "sensor", d.Step, "error", err)
			k.note(d.Step, func(*shedding) { k.controller.Failed(d.Step) })
		}
	}
}

func (k *keeper) note(sensor string, what func(*shedding)) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	what(k.history[sensor])
}

// reclaim has Go keep less, as much as the agent is over its limit, but not less than what
// lives and some room: collecting all the time would cost more than it gains.
func (k *keeper) reclaim() {
	cfg := k.agent.inForce.Load()
	m := k.agent.memory()
	samples := []gometrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/live:bytes"}}
	gometrics.Read(samples)
	held := int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
	over := int64(m.ResidentBytes+m.KernelMapsBytes) - int64(cfg.Limits.Memory)
	least := int64(samples[2].Value.Uint64())*3/2 + 16<<20
	limit := min(heapLimit(cfg), max(held-over, least))
	debug.SetMemoryLimit(limit)
	debug.FreeOSMemory()
	k.agent.logger.Info("memory given back: over the budget", "heap_limit", limit)
}

// status is nil without limits.
func (k *keeper) status() *skepv1.BudgetStatus {
	limits := k.agent.inForce.Load().Limits
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if limits == (config.Limits{}) && len(k.controller.Shed()) == 0 {
		return nil
	}
	mean, shed := k.controller.Mean(), k.controller.Shed()
	s := &skepv1.BudgetStatus{
		CpuLimit: float64(limits.CPU), MemoryLimitBytes: uint64(limits.Memory), Cpu: mean.CPU, MemoryBytes: mean.Memory,
		Exhausted: k.controller.Exhausted(k.agent.mayShed),
	}
	for i := range shedOrder {
		sensor := shedOrder[i].sensor.Name
		if !k.agent.mayShed(sensor) {
			continue
		}
		h := k.history[sensor]
		one := &skepv1.SensorBudget{Sensor: sensor, Kinds: shedOrder[i].kindNames(), Times: h.times}
		if slices.Contains(shed, sensor) {
			one.Shed, one.Since, one.Reason = true, timestamppb.New(h.since), h.reason
		}
		s.Sensors = append(s.Sensors, one)
	}
	return s
}
