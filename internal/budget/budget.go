// SPDX-License-Identifier: Apache-2.0

// Package budget decides when the agent sheds a sensor because it costs more than it may,
// and when it takes one back.
//
// # Problem
//
// What an agent costs depends on what its host does. One that is told to keep within a
// limit has to see less when too much happens; but it must not flap, and what it does not
// see must be known.
//
// # Mechanism
//
// A [Controller] is given what the agent costs, once a second. Over a limit for [Window]
// it sheds the next step of a fixed order; well below all limits for a while it takes back
// the last one it has shed. A step that is too much again soon after it was taken back
// waits twice as long the next time.
//
// # Invariants
//
//   - Steps go in the order and come back in the reverse of it, one at a time, and each
//     change is judged by what was measured after the one before.
//   - It looks at no clock and at no kernel.
package budget

import (
	"fmt"
	"slices"
	"time"
)

// The pace of decisions.
const (
	// Window is how many measurements, one a second, each decision rests on.
	Window = 5
	// firstWait is for how long it must be well below the limits before a step comes back,
	// and maxWait what that grows to when the step is too much again and again.
	firstWait = 30 * time.Second
	maxWait   = time.Hour
	// probation: a step that is shed again this soon after it came back waits longer.
	probation = 2 * time.Minute
)

// What is well below a limit, as a share of it. Memory is returned late and in part, and
// an idle agent takes most of it: there the distance is smaller.
const (
	wellBelowCPU    = 0.75
	wellBelowMemory = 0.9
)

// Load is what the agent costs, or may cost: then 0 is no limit.
type Load struct {
	// CPU is a share of one CPU: 0.03 is 3 % of one, 1.5 one and a half.
	CPU float64
	// Memory is in bytes.
	Memory uint64
}

// Verb is what a [Decision] says to do.
type Verb int

// The verbs.
const (
	Nothing Verb = iota
	Reclaim      // give memory back, before anything is shed for it
	Shed
	Restore
)

// Decision is one thing to do, and why.
type Decision struct {
	Verb Verb
	Step string // of Shed and Restore
	Why  string
}

// Controller is for one goroutine.
type Controller struct {
	order  []string
	limits Load

	window    []Load
	mean      Load      // of the window before the last change
	below     time.Time // since when it has been well below the limits; zero if it is not
	reclaimed bool      // since something was last shed for memory
	shed      []string  // in the order in which they went
	steps     map[string]*step
}

// step is what is remembered of one that was shed, also after it came back.
type step struct {
	wait     time.Duration
	restored time.Time // zero before the first time
}

// New returns a controller without limits that sheds in this order.
func New(order []string) *Controller {
	return &Controller{order: order, steps: map[string]*step{}}
}

// Limit sets the limits. What is shed then need not wait any longer than a window.
func (c *Controller) Limit(limits Load) {
	if limits == c.limits {
		return
	}
	c.limits = limits
	c.changed()
	for _, s := range c.steps {
		*s = step{}
	}
}

// Mean is the load over the current window; before its first measurement that over the last.
func (c *Controller) Mean() Load {
	if len(c.window) == 0 {
		return c.mean
	}
	var cpu float64
	var memory uint64
	for _, l := range c.window {
		cpu += l.CPU
		memory += l.Memory
	}
	n := len(c.window)
	return Load{CPU: cpu / float64(n), Memory: memory / uint64(n)}
}

// Shed lists the steps that are shed, in the order in which they went.
func (c *Controller) Shed() []string { return slices.Clone(c.shed) }

// Exhausted tells that the load is over a limit and nothing is left to shed.
func (c *Controller) Exhausted(wanted func(step string) bool) bool {
	over, _ := c.over()
	return over != "" && c.next(wanted) == ""
}

// Decide takes the measurement of one second. wanted tells which steps there are: one that
// the configuration has switched off is neither shed nor taken back.
func (c *Controller) Decide(now time.Time, load Load, wanted func(step string) bool) Decision {
	c.shed = slices.DeleteFunc(c.shed, func(s string) bool { return !wanted(s) })
	if len(c.window) == Window {
		c.window = slices.Delete(c.window, 0, 1)
	}
	if c.window = append(c.window, load); len(c.window) < Window {
		return Decision{}
	}
	if why, memory := c.over(); why != "" {
		c.below = time.Time{}
		return c.relieve(now, why, memory, wanted)
	}
	return c.recover(now)
}

// over says what is over its limit, "" if nothing is, and whether it is memory alone.
func (c *Controller) over() (why string, memory bool) {
	if len(c.window) < Window {
		return "", false
	}
	mean := c.Mean()
	switch {
	case c.limits.CPU > 0 && mean.CPU > c.limits.CPU:
		return fmt.Sprintf("%.2f %% of one CPU over %d s, the limit is %.4g %%", 100*mean.CPU, Window, 100*c.limits.CPU), false
	case c.limits.Memory > 0 && mean.Memory > c.limits.Memory:
		return fmt.Sprintf("%.1f MiB of memory over %d s, the limit is %.4g MiB", mib(mean.Memory), Window, mib(c.limits.Memory)), true
	}
	return "", false
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

func (c *Controller) relieve(now time.Time, why string, memory bool, wanted func(string) bool) Decision {
	name := c.next(wanted)
	switch {
	case memory && !c.reclaimed:
		c.reclaimed = true
		c.changed()
		return Decision{Verb: Reclaim, Why: why}
	case name == "":
		return Decision{}
	}
	c.reclaimed = false
	s := c.steps[name]
	if s == nil {
		s = &step{}
		c.steps[name] = s
	}
	if s.restored.IsZero() || now.Sub(s.restored) > probation {
		s.wait = firstWait
	} else {
		s.wait = min(2*max(s.wait, firstWait/2), maxWait)
	}
	c.shed = append(c.shed, name)
	c.changed()
	return Decision{Verb: Shed, Step: name, Why: why}
}

// next is the step that goes next, "" if none is left.
func (c *Controller) next(wanted func(string) bool) string {
	for _, name := range c.order {
		if wanted(name) && !slices.Contains(c.shed, name) {
			return name
		}
	}
	return ""
}

// recover takes back what was shed last, once there has been room for long enough.
func (c *Controller) recover(now time.Time) Decision {
	mean := c.Mean()
	room := (c.limits.CPU == 0 || mean.CPU <= wellBelowCPU*c.limits.CPU) &&
		(c.limits.Memory == 0 || float64(mean.Memory) <= wellBelowMemory*float64(c.limits.Memory))
	if !room {
		c.below = time.Time{}
		return Decision{}
	}
	c.reclaimed = false
	if c.below.IsZero() {
		c.below = now
	}
	if len(c.shed) == 0 {
		return Decision{}
	}
	name := c.shed[len(c.shed)-1]
	if now.Sub(c.below) < c.steps[name].wait {
		return Decision{}
	}
	c.shed = c.shed[:len(c.shed)-1]
	c.steps[name].restored = now
	c.changed()
	return Decision{Verb: Restore, Step: name}
}

// Failed puts back a step that could not be restored, to be tried again later.
func (c *Controller) Failed(name string) {
	c.shed = append(c.shed, name)
	s := c.steps[name]
	s.restored = time.Time{}
	s.wait = min(max(2*s.wait, firstWait), maxWait)
	c.changed()
}

// changed forgets what was measured before a change.
func (c *Controller) changed() {
	c.mean = c.Mean()
	c.window, c.below = c.window[:0], time.Time{}
}
