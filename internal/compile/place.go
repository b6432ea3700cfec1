// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"
	"sort"
)

// places answers where virtual registers are, after allocation.
type places struct {
	l     *lives
	cells []int // by virtual register: its word of the frame, or -1
	count int   // words of the frame
	// parts are, by virtual register, its intervals in order, where there are several.
	parts [][]*interval
	// stored is, by virtual register, the position behind which its word in the frame
	// always holds it, because it is stored where it is defined; never if it is stored
	// each time it leaves its register. That is so where a comparison may have told the
	// verifier more since: an older copy would be less to it.
	stored []int
}

// place gives spilled virtual registers words of the frame: those that live at different
// times share one.
func place(l *lives) *places {
	p := &places{l: l, cells: make([]int, l.m.vregs), stored: make([]int, l.m.vregs), parts: make([][]*interval, l.m.vregs)}
	var spilled []extent
	for r, it := range l.of {
		p.cells[r], p.stored[r] = -1, never
		for part := it; part != nil && it.next != nil; part = part.next {
			p.parts[r] = append(p.parts[r], part)
		}
		if it == nil || l.m.remat[r].is(leaf) {
			continue
		}
		e := extent{vreg: r, from: it.start()}
		for ; it != nil; it = it.next {
			e.spilled = e.spilled || it.spilled
			e.to = it.end()
		}
		if e.spilled {
			spilled = append(spilled, e)
		}
	}
	slices.SortStableFunc(spilled, func(a, b extent) int { return cmp.Compare(a.from, b.from) })
	var ends []int // by word: until when it is taken
	for _, e := range spilled {
		cell := slices.IndexFunc(ends, func(end int) bool { return end <= e.from })
		if cell < 0 {
			cell = len(ends)
			ends = append(ends, 0)
		}
		ends[cell] = e.to
		p.cells[e.vreg] = cell
	}
	p.count = len(ends)
	p.definitions()
	return p
}

// extent is where a virtual register lives, without holes.
type extent struct {
	vreg     int
	from, to int
	spilled  bool
}

// definitions finds where each spilled register is last written.
func (p *places) definitions() {
	note := func(r vreg, pos int) {
		if p.cells[r] >= 0 && !p.l.m.refined[r] {
			p.stored[r] = pos
		}
	}
	for _, b := range p.l.m.blocks {
		for _, phi := range b.phis {
			note(phi.dst, b.from)
		}
		for i, in := range b.insts {
			if in.dst != noReg {
				note(in.dst, b.from+2*i+1)
			}
		}
	}
}

// at is where a virtual register is at a position.
func (p *places) at(r vreg, pos int) operand {
	parts := p.parts[r]
	if len(parts) == 0 {
		return p.of(p.l.of[r])
	}
	behind := sort.Search(len(parts), func(i int) bool { return parts[i].start() > pos })
	return p.of(parts[max(0, behind-1)])
}

func (p *places) of(it *interval) operand {
	switch {
	case !it.spilled:
		return inReg(it.phys)
	case p.l.m.remat[it.reg].is(leaf):
		return p.l.m.remat[it.reg]
	}
	return operand{kind: spill, imm: int64(p.cells[it.reg])}
}

// located is an operand with virtual registers replaced by where they are.
func (p *places) located(o operand, pos int) operand {
	if o.is(virtual) {
		return p.at(o.reg, pos)
	}
	return o
}

// occupied marks the registers that hold something at or around a position.
func (p *places) occupied(pos int, used *[10]bool) {
	for _, it := range p.l.of {
		for ; it != nil && it.start() <= pos+1; it = it.next {
			if !it.spilled && (it.covers(pos) || it.covers(pos+1) || it.covers(pos-1)) {
				used[it.phys] = true
			}
		}
	}
	for r, spans := range p.l.fixed {
		for _, s := range spans {
			if s.from <= pos+1 && pos-1 < s.to {
				used[r] = true
			}
		}
	}
}
