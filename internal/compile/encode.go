// SPDX-License-Identifier: Apache-2.0

package compile

import "github.com/cilium/ebpf/asm"

// register is where a virtual register is at a position; it is in a register there.
func (e *emitter) register(r vreg, pos int) asm.Register {
	o := e.p.at(r, pos)
	if !o.is(physical) {
		e.fail("virtual register %d is in no register at position %d", r, pos)
	}
	return o.phys
}

func (e *emitter) source(o operand) operand { return e.p.located(o, e.at) }

// base is the register and offset of a load or store.
func (e *emitter) base(in *inst) (asm.Register, int16) {
	if in.base.is(leaf) {
		return asm.RFP, e.short(e.frame.at[in.base.leaf] + in.base.imm + in.off)
	}
	return e.register(in.base.reg, e.at), e.short(in.off)
}

// inst writes an instruction that is no exit.
func (e *emitter) inst(in *inst) {
	switch in.kind {
	case iMove:
		e.load(e.register(in.dst, e.at+1), e.source(in.src))
	case iALU:
		dst := e.register(in.dst, e.at)
		if src := e.source(in.src); src.is(immediate) {
			e.emit(in.alu.Imm(dst, int32(src.imm)))
		} else {
			e.emit(in.alu.Reg(dst, src.phys))
		}
	case iUnary:
		e.unary(in, e.register(in.dst, e.at))
	case iExtend:
		e.extend(in, e.register(in.dst, e.at+1), e.register(in.src.reg, e.at))
	case iLoad:
		base, off := e.base(in)
		dst := e.register(in.dst, e.at+1)
		if in.signed {
			e.emit(asm.LoadMemSX(dst, base, off, in.size))
		} else {
			e.emit(asm.LoadMem(dst, base, off, in.size))
		}
	case iStore:
		base, off := e.base(in)
		if src := e.source(in.src); src.is(immediate) {
			e.emit(storeImm(base, off, src.imm, in.size))
		} else {
			e.emit(asm.StoreMem(base, off, src.phys, in.size))
		}
	case iAtomic:
		base, off := e.base(in)
		e.emit(asm.AddAtomic.Mem(base, e.source(in.src).phys, in.size, off))
	case iSet:
		dst := e.register(in.dst, e.at)
		e.emit(asm.Mov.Imm(dst, 1))
		e.emit(e.jump(in.jump, in.narrow, e.source(in.base), e.source(in.src), 1))
		e.emit(asm.Mov.Imm(dst, 0))
	case iCall:
		e.call(in)
	}
}

// storeImm is asm.StoreImm for 8 bytes too: the kernel extends the sign of the 32 bits.
func storeImm(base asm.Register, off int16, n int64, size asm.Size) asm.Instruction {
	return asm.Instruction{OpCode: asm.StoreImmOp(size), Dst: base, Offset: off, Constant: n}
}

func (e *emitter) unary(in *inst, dst asm.Register) {
	switch {
	case in.alu == asm.Neg:
		e.emit(asm.Instruction{OpCode: asm.Neg.Op(asm.ImmSource), Dst: dst})
	case e.o.CPU >= 4:
		e.emit(asm.BSwap(dst, in.size))
	case bigEndian():
		e.emit(asm.HostTo(asm.LE, dst, in.size))
	default:
		e.emit(asm.HostTo(asm.BE, dst, in.size))
	}
}

func (e *emitter) extend(in *inst, dst, src asm.Register) {
	if !in.signed {
		e.emit(asm.Mov.Reg32(dst, src))
		return
	}
	// Not Mov with an offset, as the kernel has it: the assembler clears that of a Mov.
	op := map[asm.Size]asm.ALUOp{asm.Byte: asm.MovSX8, asm.Half: asm.MovSX16, asm.Word: asm.MovSX32}[in.size]
	e.emit(op.Reg(dst, src))
}

// call puts arguments where they are passed and calls. Nothing that lives on is in r0 to
// r5, so r0 is free for the moves when no argument is taken from it any more.
func (e *emitter) call(in *inst) {
	var moves []move
	for i, a := range in.args {
		moves = append(moves, move{dst: inReg(asm.R1 + asm.Register(i)), src: e.source(a)})
	}
	r0 := func() (asm.Register, bool) { return asm.R0, true }
	for _, m := range sequence(moves, r0, e.cycleWord) {
		e.move(m.dst, m.src, r0)
	}
	switch v := in.value; v.Op {
	case CallFunc:
		e.emit(asm.Instruction{
			OpCode: asm.Call.Label("").OpCode, Src: asm.PseudoCall, Constant: -1,
		}.WithReference(v.Symbol))
	case TailCall:
		e.emit(asm.FnTailCall.Call())
	default:
		e.emit(asm.BuiltinFunc(v.Imm).Call())
	}
}

// jump is a conditional jump over a number of slots.
func (e *emitter) jump(op asm.JumpOp, narrow bool, x, y operand, slots int64) asm.Instruction {
	var in asm.Instruction
	switch {
	case y.is(immediate) && narrow:
		in = op.Imm32(x.phys, int32(y.imm), "")
	case y.is(immediate):
		in = op.Imm(x.phys, int32(y.imm), "")
	case narrow:
		in = op.Reg32(x.phys, y.phys, "")
	default:
		in = op.Reg(x.phys, y.phys, "")
	}
	in.Offset = e.short(slots)
	return in
}

// exit writes what the end of a block needs before its jump.
func (e *emitter) exit(in *inst) {
	e.cur.exit = in
	switch in.kind {
	case iBranch:
		e.cur.x, e.cur.y = e.source(in.base), e.source(in.src)
	case iExit:
		e.load(asm.R0, e.source(in.src))
		e.emit(asm.Return())
	}
}
