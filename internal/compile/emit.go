// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"math"

	"github.com/cilium/ebpf/asm"
)

// emitter writes the instructions of a function whose registers are allocated. Blocks are
// written one by one without their exits; then blocks that are empty are dropped, and
// exits become jumps where what follows is not where they go.
type emitter struct {
	m     *mfunc
	p     *places
	o     Options
	frame *frame
	cells int64 // offset of word 0 of the allocator's part of the frame

	body      []part // by block
	out       asm.Instructions
	positions []Pos
	cur       *part
	pos       Pos
	at        int // position of the instruction that is written
	extra     int // words of the frame for moves, beyond those of places

	spills, moves int
	err           error
}

// part is the instructions of a block.
type part struct {
	insts asm.Instructions
	pos   []Pos
	exit  *inst
	x, y  operand // of a branch
	start int     // slot in the function
	bare  bool    // there is nothing but the exit
}

func emit(m *mfunc, p *places, s *schedule, o Options) (*emitter, error) {
	e := &emitter{m: m, p: p, o: o, frame: m.slots, body: make([]part, len(m.blocks))}
	e.cells = -int64(m.slots.size)
	for i, b := range m.blocks {
		e.cur = &e.body[i]
		e.block(b, s)
	}
	e.frame.size += 8 * (p.count + e.extra)
	e.link()
	return e, e.err
}

func (e *emitter) block(b *mblock, s *schedule) {
	for i := range b.insts {
		in := &b.insts[i]
		e.at, e.pos = b.from+2*i, in.pos
		e.parallel(s.before[e.at])
		e.parallel(s.spills[e.at])
		switch in.kind {
		case iLabel:
			e.parallel(s.starts[b])
		case iJump, iBranch, iExit:
			e.parallel(s.ends[b])
			e.exit(in)
		default:
			e.inst(in)
		}
		e.parallel(s.stores[e.at])
	}
}

func (e *emitter) emit(in asm.Instruction) {
	e.cur.insts = append(e.cur.insts, in)
	e.cur.pos = append(e.cur.pos, e.pos)
}

// parallel writes moves that happen at once.
func (e *emitter) parallel(moves []move) {
	if len(moves) == 0 {
		return
	}
	ordered := sequence(moves, func() (asm.Register, bool) { return e.freeRegister(moves) }, e.cycleWord)
	free := func() (asm.Register, bool) { return e.freeRegister(ordered) }
	for _, m := range ordered {
		e.move(m.dst, m.src, free)
	}
}

// freeRegister is a register that holds nothing around the instruction that is written,
// and that no move reads or writes.
func (e *emitter) freeRegister(moves []move) (asm.Register, bool) {
	var used [10]bool
	for _, m := range moves {
		for _, o := range []operand{m.dst, m.src} {
			if o.is(physical) {
				used[o.phys] = true
			}
		}
	}
	e.p.occupied(e.at, &used)
	for r, taken := range used {
		if !taken {
			return asm.Register(r), true
		}
	}
	return 0, false
}

// cycleWord is a word of the frame for a cycle of moves, throughWord one for a register
// that a move between two words goes through. Hardly any function needs them.
func (e *emitter) cycleWord() operand   { return e.extraWord(0) }
func (e *emitter) throughWord() operand { return e.extraWord(1) }

func (e *emitter) extraWord(n int) operand {
	e.extra = max(e.extra, n+1)
	return operand{kind: spill, imm: int64(e.p.count + n)}
}

// move writes one move. From one word of the frame to another it goes through a register.
func (e *emitter) move(dst, src operand, free func() (asm.Register, bool)) {
	switch {
	case sameplace(dst, src):
	case dst.is(physical):
		e.load(dst.phys, src)
	case src.is(physical):
		e.spills++
		e.emit(asm.StoreMem(asm.RFP, e.cell(dst), src.phys, asm.DWord))
	case src.is(immediate):
		e.spills++
		e.emit(storeImm(asm.RFP, e.cell(dst), src.imm, asm.DWord))
	default:
		e.through(dst, src, free)
	}
}

func (e *emitter) through(dst, src operand, free func() (asm.Register, bool)) {
	r, ok := free()
	saved := operand{kind: noOperand}
	if !ok {
		r = asm.R0
		saved = e.throughWord()
		e.emit(asm.StoreMem(asm.RFP, e.cell(saved), r, asm.DWord))
	}
	e.load(r, src)
	e.emit(asm.StoreMem(asm.RFP, e.cell(dst), r, asm.DWord))
	e.spills++
	if !ok {
		e.load(r, saved)
	}
}

func (e *emitter) cell(o operand) int16 { return int16(e.cells - 8*(o.imm+1)) }

// load puts anything in a register.
func (e *emitter) load(r asm.Register, o operand) {
	switch o.kind {
	case physical:
		if o.phys != r {
			e.moves++
			e.emit(asm.Mov.Reg(r, o.phys))
		}
	case immediate:
		e.emit(asm.Mov.Imm(r, int32(o.imm)))
	case spill:
		e.spills++
		e.emit(asm.LoadMem(r, asm.RFP, e.cell(o), asm.DWord))
	case leaf:
		e.leaf(r, o)
	}
}

func (e *emitter) leaf(r asm.Register, o operand) {
	switch v := o.leaf; v.Op {
	case Const:
		if fits(v.Imm) {
			e.emit(asm.Mov.Imm(r, int32(v.Imm)))
		} else {
			e.emit(asm.LoadImm(r, v.Imm, asm.DWord))
		}
	case Slot:
		e.emit(asm.Mov.Reg(r, asm.RFP))
		e.emit(asm.Add.Imm(r, int32(e.frame.at[v]+o.imm)))
	case MapOf:
		e.emit(asm.LoadMapPtr(r, 0).WithReference(v.Symbol))
	case ValueOf:
		e.emit(asm.LoadMapValue(r, 0, uint32(v.Imm)).WithReference(v.Symbol))
	case FuncOf:
		e.emit(asm.Instruction{
			OpCode: asm.LoadImmOp(asm.DWord), Dst: r, Src: asm.PseudoFunc, Constant: -1,
		}.WithReference(v.Symbol))
	default:
		e.fail("%s is no leaf", v)
	}
}

func (e *emitter) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("emit instructions: "+format, args...)
	}
}

// short is an offset of a load, a store or a jump.
func (e *emitter) short(n int64) int16 {
	if n < math.MinInt16 || n > math.MaxInt16 {
		e.fail("an offset of %d takes more than 16 bits: the function is too large", n)
	}
	return int16(n)
}
