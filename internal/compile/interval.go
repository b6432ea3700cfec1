// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"math"
	"sort"

	"github.com/cilium/ebpf/asm"
)

// Positions: instruction i of the function reads at 2i and writes at 2i+1. An interval is
// half open: a register that is read last at 2i and one that is written at 2i+1 may be
// the same.

const never = math.MaxInt

// span is the positions from and up to to.
type span struct{ from, to int }

// use is where a virtual register is read or written; must tells that the instruction
// takes it in a register only. Moves and calls take it from the frame as well.
type use struct {
	pos  int
	must bool
}

// interval is where a virtual register lives, or a part of that after splitting.
type interval struct {
	reg   vreg
	spans []span // in order, not touching
	uses  []use  // in order
	// phys is the register it has, if it is not spilled.
	phys    asm.Register
	spilled bool
	placed  bool      // the allocator decided
	next    *interval // the part behind this one
	hints   []hint
}

// hint is a register that would save a move: of another virtual register, or a fixed one.
type hint struct {
	other vreg
	phys  asm.Register
}

func (it *interval) start() int { return it.spans[0].from }
func (it *interval) end() int   { return it.spans[len(it.spans)-1].to }

// covers tells whether the interval is alive at a position.
func (it *interval) covers(pos int) bool {
	for _, s := range it.spans {
		if pos < s.from {
			return false
		}
		if pos < s.to {
			return true
		}
	}
	return false
}

// meet is the first position where both live, or never.
func meet(a, b []span) int {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		from := max(a[i].from, b[j].from)
		if from < min(a[i].to, b[j].to) {
			return from
		}
		if a[i].to < b[j].to {
			i++
		} else {
			j++
		}
	}
	return never
}

// nextUse is the first use at or behind a position, or never.
func (it *interval) nextUse(pos int, mustOnly bool) int {
	i := sort.Search(len(it.uses), func(i int) bool { return it.uses[i].pos >= pos })
	for ; i < len(it.uses); i++ {
		if it.uses[i].must || !mustOnly {
			return it.uses[i].pos
		}
	}
	return never
}

// split cuts the interval at a position inside of it and gives the part behind.
func (it *interval) split(pos int) *interval {
	rest := &interval{reg: it.reg, next: it.next, hints: it.hints}
	it.next = rest
	for i, s := range it.spans {
		if s.to <= pos {
			continue
		}
		rest.spans = append(rest.spans, it.spans[i:]...)
		it.spans = it.spans[:i:i]
		if s.from < pos {
			it.spans = append(it.spans, span{s.from, pos})
			rest.spans[0].from = pos
		}
		break
	}
	i := sort.Search(len(it.uses), func(i int) bool { return it.uses[i].pos >= pos })
	rest.uses, it.uses = it.uses[i:], it.uses[:i:i]
	return rest
}

// lives are the intervals of a function.
type lives struct {
	m     *mfunc
	of    []*interval // by virtual register; nil if it is never live
	fixed [10][]span  // where calls and such take registers r0 to r9
}

// numberInsts gives blocks their positions.
func numberInsts(m *mfunc) {
	pos := 0
	for _, b := range m.blocks {
		b.from = pos
		pos += 2 * len(b.insts)
		b.to = pos
	}
}

// intervals builds the intervals, walking each block backward from what is live out of it,
// as in Wimmer and Franz, "Linear Scan Register Allocation on SSA Form" (CGO 2010).
func intervals(m *mfunc) *lives {
	l := &lives{m: m, of: make([]*interval, m.vregs)}
	for i := len(m.blocks) - 1; i >= 0; i-- {
		l.block(m.blocks[i])
	}
	for _, it := range l.of {
		if it == nil {
			continue
		}
		reverse(it.spans)
		reverse(it.uses)
	}
	for r := range l.fixed {
		reverse(l.fixed[r])
	}
	l.hints()
	return l
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

func (l *lives) interval(r vreg) *interval {
	if l.of[r] == nil {
		l.of[r] = &interval{reg: r}
	}
	return l.of[r]
}

// live makes a register live from..to; spans come from the last to the first here.
func (l *lives) live(r vreg, from, to int) {
	it := l.interval(r)
	if n := len(it.spans); n > 0 && it.spans[n-1].from <= to {
		last := &it.spans[n-1]
		last.from, last.to = min(last.from, from), max(last.to, to)
		return
	}
	it.spans = append(it.spans, span{from, to})
}

// define ends, walking backward, the life of a register at its definition.
func (l *lives) define(r vreg, pos int) {
	it := l.interval(r)
	if len(it.spans) == 0 || it.spans[len(it.spans)-1].from > pos {
		it.spans = append(it.spans, span{pos, pos + 1}) // never read
	} else {
		it.spans[len(it.spans)-1].from = pos
	}
}

func (l *lives) use(r vreg, pos int, must bool) {
	it := l.interval(r)
	it.uses = append(it.uses, use{pos, must})
}

func (l *lives) block(b *mblock) {
	l.m.registers(b.liveOut, func(r vreg) { l.live(r, b.from, b.to) })
	for i := len(b.insts) - 1; i >= 0; i-- {
		l.inst(b, &b.insts[i], b.from+2*i)
	}
	for _, p := range b.phis {
		l.define(p.dst, b.from)
		l.use(p.dst, b.from, false)
	}
}

func (l *lives) inst(b *mblock, in *inst, pos int) {
	last := pos + 1 // where operands live to
	switch {
	case in.kind == iCall:
		l.clobber(pos + 1)
	case in.kind == iSet:
		last = pos + 2 // dst is written before they are read
	}
	if in.dst != noReg {
		l.output(b, in, pos)
	}
	must := in.kind != iMove && in.kind != iCall && in.kind != iExit
	read := func(o operand) {
		switch {
		case o.is(virtual):
			l.live(o.reg, b.from, last)
			l.use(o.reg, pos, must)
		case o.is(physical):
			l.reserve(o.phys, b, pos)
		}
	}
	read(in.src)
	read(in.base)
	for _, a := range in.args {
		read(a)
	}
}

func (l *lives) output(b *mblock, in *inst, pos int) {
	switch {
	case in.kind.modifies():
		l.live(in.dst, b.from, pos+2)
		l.use(in.dst, pos+1, true)
		l.use(in.dst, pos, true)
	case in.kind == iSet:
		l.define(in.dst, pos)
		l.use(in.dst, pos, true)
	default:
		l.define(in.dst, pos+1)
		l.use(in.dst, pos+1, in.kind != iMove || !in.src.is(physical))
	}
}

// clobber says that a call writes r0 to r5.
func (l *lives) clobber(pos int) {
	for r := range 6 {
		l.occupy(r, pos, pos+1)
	}
}

func (l *lives) occupy(r, from, to int) {
	s := l.fixed[r]
	if n := len(s); n > 0 && s[n-1].from <= to {
		s[n-1].from = min(from, s[n-1].from)
		return
	}
	l.fixed[r] = append(s, span{from, to})
}

// reserve keeps a register from where it was written to where it is read: a result from
// the call just before, a parameter from the start of the function.
func (l *lives) reserve(r asm.Register, b *mblock, pos int) {
	from := b.from
	if r == asm.R0 {
		from = pos - 1
	}
	l.occupy(int(r), from, pos+1)
}

// hints finds what would save moves.
func (l *lives) hints() {
	add := func(r vreg, h hint) {
		if it := l.of[r]; it != nil {
			it.hints = append(it.hints, h)
		}
	}
	for _, b := range l.m.blocks {
		for _, p := range b.phis {
			for _, a := range p.args {
				if a.is(virtual) {
					add(p.dst, hint{other: a.reg})
					add(a.reg, hint{other: p.dst})
				}
			}
		}
		for i := range b.insts {
			in := &b.insts[i]
			switch {
			case in.kind == iMove && in.src.is(virtual):
				add(in.dst, hint{other: in.src.reg})
				add(in.src.reg, hint{other: in.dst})
			case in.kind == iMove && in.src.is(physical):
				add(in.dst, hint{noReg, in.src.phys})
			case in.kind == iExit && in.src.is(virtual):
				add(in.src.reg, hint{noReg, asm.R0})
			}
			for n, a := range in.args {
				if a.is(virtual) {
					add(a.reg, hint{noReg, asm.R1 + asm.Register(n)})
				}
			}
		}
	}
}
