// SPDX-License-Identifier: Apache-2.0

package compile

import "github.com/cilium/ebpf/asm"

// move is one of several that happen at once: to a register or a word of the frame, from
// those or from what can be made anew.
type move struct {
	dst, src operand
	pos      Pos
}

func sameplace(a, b operand) bool {
	return a.kind == b.kind && a.phys == b.phys && a.imm == b.imm && a.leaf == b.leaf
}

// schedule is every move that allocation asks for. In each list the moves are parallel.
type schedule struct {
	before map[int][]move // by position of an instruction, before that
	spills map[int][]move // the same, behind those
	stores map[int][]move // by position of an instruction, behind that
	ends   map[*mblock][]move
	starts map[*mblock][]move
}

// resolve finds the moves: where an interval was cut within a block, and on each edge
// where a virtual register is in another place behind it, together with the phis there.
func resolve(p *places) *schedule {
	s := &schedule{map[int][]move{}, map[int][]move{}, map[int][]move{}, map[*mblock][]move{}, map[*mblock][]move{}}
	starts := map[int]bool{}
	for _, b := range p.l.m.blocks {
		starts[b.from] = true
	}
	for _, it := range p.l.of {
		for ; it != nil && it.next != nil; it = it.next {
			if pos := it.next.start(); it.end() == pos && !starts[pos] {
				s.cut(p, it, pos)
			}
		}
	}
	s.definitions(p)
	for _, b := range p.l.m.blocks {
		for _, succ := range b.succs {
			moves := edge(p, b, succ)
			switch {
			case len(moves) == 0:
			case len(b.succs) == 1:
				s.ends[b] = moves
			default:
				s.starts[succ] = moves
			}
		}
	}
	return s
}

func (s *schedule) cut(p *places, it *interval, pos int) {
	m := move{dst: p.of(it.next), src: p.of(it)}
	if !p.needed(m, it.reg, pos) {
		return
	}
	if pos&1 == 0 {
		s.before[pos] = append(s.before[pos], m)
	} else {
		s.spills[pos-1] = append(s.spills[pos-1], m)
	}
}

// needed tells whether a move does anything: not if it stays, is made anew or was stored.
func (p *places) needed(m move, r vreg, pos int) bool {
	if m.dst.is(leaf) || sameplace(m.dst, m.src) {
		return false
	}
	return !m.dst.is(spill) || pos <= p.stored[r]
}

// definitions stores registers that are spilled somewhere where they are written.
func (s *schedule) definitions(p *places) {
	for r, pos := range p.stored {
		if pos == never {
			continue
		}
		at := p.at(vreg(r), pos)
		if at.is(physical) {
			m := move{dst: operand{kind: spill, imm: int64(p.cells[r])}, src: at}
			s.stores[pos&^1] = append(s.stores[pos&^1], m)
		}
	}
}

// edge is the moves between two blocks.
func edge(p *places, from, to *mblock) []move {
	var moves []move
	p.l.m.registers(to.liveIn, func(r vreg) {
		m := move{dst: p.at(r, to.from), src: p.at(r, from.to-1)}
		if p.needed(m, r, to.from) {
			moves = append(moves, m)
		}
	})
	if len(to.phis) == 0 {
		return moves
	}
	n := 0
	for to.preds[n] != from {
		n++
	}
	for _, phi := range to.phis {
		m := move{dst: p.at(phi.dst, to.from), src: p.located(phi.args[n], from.to-1)}
		if !sameplace(m.dst, m.src) {
			moves = append(moves, m)
		}
	}
	return moves
}

// sequence puts parallel moves in an order that does the same one after the other. Cycles
// go through a free register, or through a word of the frame if there is none; free gives
// a register that neither they nor what lives on use, and scratch such a word.
func sequence(moves []move, free func() (asm.Register, bool), scratch func() operand) []move {
	var out, last []move
	pending := moves[:0:0]
	for _, m := range moves {
		switch {
		case m.src.is(physical) || m.src.is(spill):
			pending = append(pending, m)
		default: // made from nothing: reads no place that another writes
			last = append(last, m)
		}
	}
	for len(pending) > 0 {
		n := ready(pending)
		if n < 0 {
			out, pending = breakCycle(out, pending, free, scratch)
			continue
		}
		out = append(out, pending[n])
		pending = append(pending[:n:n], pending[n+1:]...)
	}
	return append(out, last...)
}

// ready is a move whose destination no other reads.
func ready(pending []move) int {
next:
	for i, m := range pending {
		for j, other := range pending {
			if i != j && sameplace(other.src, m.dst) {
				continue next
			}
		}
		return i
	}
	return -1
}

// breakCycle saves what the first move overwrites, and lets those that read it read that.
func breakCycle(out, pending []move, free func() (asm.Register, bool), scratch func() operand) ([]move, []move) {
	var saved operand
	if r, ok := free(); ok {
		saved = inReg(r)
	} else {
		saved = scratch()
	}
	lost := pending[0].dst
	out = append(out, move{dst: saved, src: lost, pos: pending[0].pos})
	for i := range pending {
		if sameplace(pending[i].src, lost) {
			pending[i].src = saved
		}
	}
	return out, pending
}
