// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"container/heap"
	"fmt"
	"sort"

	"github.com/cilium/ebpf/asm"
)

// scan is a linear scan over intervals by their start, which gives each a register for as
// long as one is free and splits it where that ends: Wimmer and Mössenböck, "Optimized
// Interval Splitting in a Linear Scan Register Allocator" (VEE 2005).
//
// Invariants: no two intervals of one register meet, nor an interval and what calls take of
// its register; an interval that is spilled has no use that must be in a register; an
// interval is cut between two instructions, except that it may go to the frame between what
// an instruction reads and what it writes. At every position a virtual register is in one
// place: the verifier knows the copy that was compared best.
type scan struct {
	l                *lives
	unhandled        queue
	active, inactive []*interval
	avoid            [10]bool // registers that are not given
}

// order is which register is taken where several would do: those that calls overwrite
// first, and of them those last that arguments are passed in first.
var order = [...]asm.Register{asm.R0, asm.R5, asm.R4, asm.R3, asm.R2, asm.R1, asm.R6, asm.R7, asm.R8, asm.R9}

// allocate gives every interval a register or a place in the frame.
func allocate(l *lives, avoid [10]bool) error {
	s := &scan{l: l, avoid: avoid}
	for _, it := range l.of {
		if it != nil {
			s.unhandled = append(s.unhandled, it)
		}
	}
	heap.Init(&s.unhandled)
	for len(s.unhandled) > 0 {
		it := heap.Pop(&s.unhandled).(*interval)
		s.expire(it.start())
		if !s.free(it) {
			if err := s.blocked(it); err != nil {
				return err
			}
		}
		if !it.spilled {
			s.active = append(s.active, it)
		}
	}
	return nil
}

// expire moves intervals between those that live at a position and those that do not.
func (s *scan) expire(pos int) {
	var active, inactive []*interval
	for _, list := range [][]*interval{s.active, s.inactive} {
		for _, it := range list {
			switch {
			case it.end() <= pos:
			case it.covers(pos):
				active = append(active, it)
			default:
				inactive = append(inactive, it)
			}
		}
	}
	s.active, s.inactive = active, inactive
}

func (s *scan) later(it *interval) { heap.Push(&s.unhandled, it) }

// taken is from where on a register is taken by a call or such.
func (s *scan) taken(r int, it *interval) int {
	if s.avoid[r] {
		return it.start()
	}
	fixed := s.l.fixed[r]
	i := sort.Search(len(fixed), func(i int) bool { return fixed[i].to > it.start() })
	return meet(fixed[i:], it.spans)
}

// free takes a register that nothing else has, for the whole interval or for the longest
// part of it.
func (s *scan) free(it *interval) bool {
	var until [10]int
	for r := range until {
		until[r] = s.taken(r, it)
	}
	for _, a := range s.active {
		until[a.phys] = it.start()
	}
	for _, a := range s.inactive {
		until[a.phys] = min(until[a.phys], meet(a.spans, it.spans))
	}
	best := order[0]
	for _, r := range order {
		if until[r] >= it.end() {
			best = r
			break
		}
		if until[r] > until[best] {
			best = r
		}
	}
	if r, ok := s.hinted(it, until); ok {
		best = r
	}
	cut := until[best] &^ 1
	switch {
	case until[best] >= it.end():
	case cut > it.start():
		s.later(it.split(cut))
	default:
		return false
	}
	it.phys, it.placed = best, true
	return true
}

// hinted is a register for the whole interval that saves a move.
func (s *scan) hinted(it *interval, until [10]int) (asm.Register, bool) {
	for _, h := range it.hints {
		r := h.phys
		if h.other != noReg {
			other := s.l.of[h.other]
			for other != nil && other.next != nil && other.next.start() <= it.start() {
				other = other.next
			}
			if other == nil || other.spilled || !other.placed {
				continue
			}
			r = other.phys
		}
		if until[r] >= it.end() {
			return r, true
		}
	}
	return 0, false
}

// blocked makes room: of the interval and those that have the registers now, the one whose
// next use is farthest goes to the frame.
func (s *scan) blocked(it *interval) error {
	start := it.start()
	var uses, taken [10]int
	for r := range uses {
		if taken[r] = s.taken(r, it); taken[r]&^1 > start {
			uses[r] = taken[r] // else it is of no use: 0
		}
	}
	for _, a := range s.active {
		uses[a.phys] = min(uses[a.phys], a.nextUse(start, false))
	}
	for _, a := range s.inactive {
		if meet(a.spans, it.spans) != never {
			uses[a.phys] = min(uses[a.phys], a.nextUse(start, false))
		}
	}
	best := order[0]
	for _, r := range order {
		if uses[r] > uses[best] {
			best = r
		}
	}
	first := it.nextUse(start, false)
	if first == never || uses[best] < first || uses[best] <= start|1 {
		if must := it.nextUse(start, true); must == never || must&^1 > start {
			s.spill(it, must)
			return nil
		}
	}
	if uses[best] <= start|1 {
		return fmt.Errorf("allocate registers: none is free at position %d", start)
	}
	s.evict(best, it)
	if taken[best] < it.end() {
		s.later(it.split(taken[best] &^ 1))
	}
	it.phys, it.placed = best, true
	return nil
}

// spill leaves an interval in the frame until a position where it must be in a register.
func (s *scan) spill(it *interval, must int) {
	it.spilled, it.placed = true, true
	if must != never {
		s.later(it.split(must &^ 1))
	}
}

// evict takes a register from those that have it while an interval lives.
func (s *scan) evict(r asm.Register, it *interval) {
	pos := it.start()
	var active, inactive []*interval
	for _, a := range s.active {
		if a.phys != r {
			active = append(active, a)
			continue
		}
		rest := a
		if a.start() < pos {
			rest = a.split(pos)
		}
		s.spill(rest, rest.nextUse(pos, true))
	}
	for _, a := range s.inactive {
		if a.phys == r && meet(a.spans, it.spans) != never {
			s.later(a.split(pos)) // it is not alive here: the rest begins with a block
			continue
		}
		inactive = append(inactive, a)
	}
	s.active, s.inactive = active, inactive
}

// queue is a heap of intervals by their start, and by number for the same result each time.
type queue []*interval

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if a, b := q[i].start(), q[j].start(); a != b {
		return a < b
	}
	return q[i].reg < q[j].reg
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*interval)) }
func (q *queue) Pop() any {
	old := *q
	it := old[len(old)-1]
	*q = old[:len(old)-1]
	return it
}
