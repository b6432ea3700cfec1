// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// host is a simulated one: what the agent costs is a base and what each attached step adds.
type host struct {
	*Controller
	t        *testing.T
	seconds  int
	base     Load
	costs    map[string]Load
	absent   []string
	attached map[string]bool
	history  []string // "12 shed a"
}

var order = []string{"a", "b", "c"}

func newHost(t *testing.T, limits Load) *host {
	h := &host{Controller: New(order), t: t, costs: map[string]Load{}, attached: map[string]bool{"a": true, "b": true, "c": true}}
	h.Limit(limits)
	return h
}

func (h *host) wanted(name string) bool { return !slices.Contains(h.absent, name) }

// run lets time go by, and does as it is told.
func (h *host) run(seconds int) {
	for range seconds {
		h.seconds++
		load := h.base
		for name, cost := range h.costs {
			if h.attached[name] && h.wanted(name) {
				load.CPU, load.Memory = load.CPU+cost.CPU, load.Memory+cost.Memory
			}
		}
		d := h.Decide(time.Unix(int64(h.seconds), 0), load, h.wanted)
		switch d.Verb {
		case Shed:
			if !h.attached[d.Step] || d.Why == "" {
				h.t.Fatalf("second %d: %+v", h.seconds, d)
			}
			h.attached[d.Step] = false
		case Restore:
			if h.attached[d.Step] {
				h.t.Fatalf("second %d: %+v", h.seconds, d)
			}
			h.attached[d.Step] = true
		case Nothing:
			continue
		}
		h.history = append(h.history, fmt.Sprintf("%d %s%s", h.seconds, map[Verb]string{Shed: "shed ", Restore: "restore ", Reclaim: "reclaim"}[d.Verb], d.Step))
	}
}

func (h *host) want(history ...string) {
	h.t.Helper()
	if !slices.Equal(h.history, history) {
		h.t.Errorf("got  %q\nwant %q", h.history, history)
	}
}

// TestOrder: one after another, each judged by what was measured since; back in reverse.
func TestOrder(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.base.CPU = 0.05
	h.run(60)
	h.want("5 shed a", "10 shed b", "15 shed c")
	if !h.Exhausted(h.wanted) {
		t.Error("nothing is left to shed, and it is over the limit still")
	}
	h.base.CPU = 0.01
	h.run(200) // its mean is low from 64 on
	h.want("5 shed a", "10 shed b", "15 shed c", "94 restore c", "129 restore b", "164 restore a")
	if len(h.Shed()) != 0 || h.Exhausted(h.wanted) {
		t.Errorf("shed still: %v", h.Shed())
	}
}

// TestEnough: what is shed is no more than it takes.
func TestEnough(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.costs["a"], h.costs["b"] = Load{CPU: 0.001}, Load{CPU: 0.03}
	h.base.CPU = 0.02
	h.run(3600)
	if h.attached["a"] || h.attached["b"] || !h.attached["c"] {
		t.Errorf("attached %v after %q", h.attached, h.history)
	}
}

// TestPeak: a second's peak is no reason, five seconds are.
func TestPeak(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.base.CPU = 0.01
	h.run(10)
	h.base.CPU = 0.10
	h.run(1)
	h.base.CPU = 0.01
	h.run(10)
	h.want()
}

// TestBetween: between 75 % of the limit and the limit nothing changes.
func TestBetween(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.base.CPU = 0.05
	h.run(5)
	h.base.CPU = 0.025
	h.run(3600)
	h.want("5 shed a")
}

// TestFlapping: a step that is too much each time comes back half as often each time, and
// once an hour in the end.
func TestFlapping(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.base.CPU = 0.01
	h.costs["a"] = Load{CPU: 0.05}
	const day = 24 * 3600
	h.run(day)
	if n := len(h.history) / 2; n < 20 || n > 24+8 {
		t.Errorf("%d times in a day", n)
	}
	var shed []int
	for _, line := range h.history {
		var second int
		if _, err := fmt.Sscanf(line, "%d shed a", &second); err == nil {
			shed = append(shed, second)
		}
	}
	for i, gap := range []int{30, 60, 120, 240} {
		if got := shed[i+1] - shed[i]; got < gap || got > gap+3*Window {
			t.Errorf("gap %d is %d s, want %d and the time to decide", i, got, gap)
		}
	}
	// Room for long enough, and all is forgotten.
	h.costs["a"] = Load{}
	h.run(2 * 3600)
	h.history = nil
	h.costs["a"] = Load{CPU: 0.05}
	h.run(8)
	h.costs["a"] = Load{}
	h.run(30 + 2*Window)
	if len(h.history) != 2 {
		t.Errorf("after quiet hours: %q", h.history)
	}
}

// TestMemory: Go gives back first, before each step.
func TestMemory(t *testing.T) {
	h := newHost(t, Load{Memory: 100})
	h.base.Memory = 120
	h.run(25)
	h.want("5 reclaim", "10 shed a", "15 reclaim", "20 shed b", "25 reclaim")
	h.base.Memory = 95 // below, but not well below
	h.run(100)
	if len(h.history) != 5 {
		t.Errorf("%q", h.history)
	}
	h.base.Memory = 90
	h.run(100)
	if got := h.history[5:]; len(got) != 2 || len(h.Shed()) != 0 {
		t.Errorf("%q", got)
	}
}

// TestReclaimed: if giving back was enough nothing is shed.
func TestReclaimed(t *testing.T) {
	h := newHost(t, Load{Memory: 100})
	h.base.Memory = 120
	h.run(5)
	h.base.Memory = 80
	h.run(600)
	h.want("5 reclaim")
}

// TestLimitChanges: a higher limit takes effect at once, and none too.
func TestLimitChanges(t *testing.T) {
	for _, limits := range []Load{{CPU: 1}, {}} {
		h := newHost(t, Load{CPU: 0.03})
		h.base.CPU = 0.05
		h.run(12)
		h.want("5 shed a", "10 shed b")
		h.Limit(limits)
		h.run(10)
		h.want("5 shed a", "10 shed b", "17 restore b", "22 restore a")
		h.run(3600)
		if len(h.history) != 4 {
			t.Errorf("%q", h.history)
		}
	}
}

// TestAbsent: what is switched off is neither shed nor taken back.
func TestAbsent(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.absent = []string{"a"}
	h.base.CPU = 0.05
	h.run(12)
	h.want("5 shed b", "10 shed c")
	h.absent = []string{"a", "c"}
	h.base.CPU = 0.01
	h.run(300)
	if got := h.history[2:]; len(got) != 1 || h.attached["c"] || len(h.Shed()) != 0 {
		t.Errorf("%q, shed still %v", got, h.Shed())
	}
}

// TestFailed: what could not be attached is tried again, later and later.
func TestFailed(t *testing.T) {
	h := newHost(t, Load{CPU: 0.03})
	h.base.CPU = 0.05
	h.run(5)
	h.base.CPU = 0.01
	var tries []int
	for range 3600 {
		n := len(h.history)
		h.run(1)
		if len(h.history) > n {
			h.attached["a"] = false
			h.Failed("a")
			tries = append(tries, h.seconds)
		}
	}
	if len(tries) < 3 || len(tries) > 8 || tries[2]-tries[1] < 2*(tries[1]-tries[0])-Window {
		t.Errorf("tried at %v", tries)
	}
	if !slices.Equal(h.Shed(), []string{"a"}) {
		t.Errorf("shed: %v", h.Shed())
	}
}

// TestNoLimits: nothing is ever done.
func TestNoLimits(t *testing.T) {
	h := newHost(t, Load{})
	h.base = Load{CPU: 4, Memory: 1 << 40}
	h.run(600)
	h.want()
}

// TestNothingToShed: memory is given back also where no sensor may go for it, once.
func TestNothingToShed(t *testing.T) {
	h := newHost(t, Load{Memory: 100 << 20})
	h.absent = order
	h.base.Memory = 120 << 20
	h.run(60)
	h.want("5 reclaim")
	if !h.Exhausted(h.wanted) {
		t.Error("it is over the limit still, and nothing can be shed")
	}
}
