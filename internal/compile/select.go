// SPDX-License-Identifier: Apache-2.0

package compile

import "github.com/cilium/ebpf/asm"

var aluOps = map[Op]asm.ALUOp{
	Add: asm.Add, Sub: asm.Sub, Mul: asm.Mul, UDiv: asm.Div, UMod: asm.Mod, SDiv: asm.SDiv, SMod: asm.SMod,
	And: asm.And, Or: asm.Or, Xor: asm.Xor, Shl: asm.LSh, LShr: asm.RSh, AShr: asm.ArSh,
}

// value selects the instructions of a value that is needed or does something.
func (l *lowering) value(v *Value) {
	switch {
	case v.Op.isBinary():
		l.binary(v)
	case v.Op.isUnary():
		l.unary(v)
	case v.Op.isCompare():
		c := l.condition(v)
		l.emit(inst{kind: iSet, dst: l.reg(v), jump: c.op, narrow: c.narrow, base: c.x, src: c.y})
	case v.Op.isMemory():
		l.memory(v)
	case v.Op == Call, v.Op == CallFunc, v.Op == TailCall:
		l.call(v)
	case v.Op == Parameter:
		l.emit(inst{kind: iMove, dst: l.reg(v), src: inReg(asm.R1 + asm.Register(v.Imm))})
	case v.Op == NonNull: // is what it checks
	case v.Op == Const, v.Op == ValueOf, isLeaf(v):
		r := l.reg(v)
		l.m.remat[r] = operand{kind: leaf, leaf: v}
		l.emit(inst{kind: iMove, dst: r, src: l.m.remat[r]})
	}
}

func (l *lowering) binary(v *Value) {
	x, y := v.Args[0], v.Args[1]
	if v.Op.isCommutative() && x.Op == Const && !v.Type.IsPointer() {
		x, y = y, x
	}
	dst := l.reg(v)
	if v.Op == Sub && x.Op == Const && x.Imm == 0 {
		l.emit(inst{kind: iMove, dst: dst, src: l.operand(y)})
		l.emit(inst{kind: iUnary, alu: asm.Neg, dst: dst})
		return
	}
	op, src := aluOps[v.Op], l.source(y)
	switch {
	case src.is(immediate) && (v.Op == UDiv || v.Op == UMod || v.Op == SDiv || v.Op == SMod) && src.imm == 0:
		src = useReg(l.load(src)) // the verifier refuses 0 written out
	case src.is(immediate) && (v.Op == Shl || v.Op == LShr || v.Op == AShr):
		src.imm &= 63
	case src.is(immediate) && v.Op == Sub && fits(-src.imm):
		op, src.imm = asm.Add, -src.imm
	}
	l.emit(inst{kind: iMove, dst: dst, src: l.operand(x)})
	l.emit(inst{kind: iALU, alu: op, dst: dst, src: src})
}

// shifts moves the sign of the lowest bits of dst through the bits above.
func (l *lowering) shifts(dst vreg, bits int64) {
	l.emit(inst{kind: iALU, alu: asm.LSh, dst: dst, src: useImm(bits)})
	l.emit(inst{kind: iALU, alu: asm.ArSh, dst: dst, src: useImm(bits)})
}

func (l *lowering) unary(v *Value) {
	x, dst := v.Args[0], l.reg(v)
	switch {
	case v.Op == Swap && v.Width > 1:
		l.emit(inst{kind: iMove, dst: dst, src: l.operand(x)})
		l.emit(inst{kind: iUnary, alu: asm.Swap, size: sizeOf(v.Width), dst: dst})
	case v.Width == 8:
		l.emit(inst{kind: iMove, dst: dst, src: l.operand(x)})
	case v.Op == SignExtend && l.o.CPU >= 4:
		l.emit(inst{kind: iExtend, dst: dst, src: l.register(x), size: sizeOf(v.Width), signed: true})
	case v.Op == SignExtend:
		l.emit(inst{kind: iMove, dst: dst, src: l.operand(x)})
		l.shifts(dst, 64-8*int64(v.Width))
	case v.Width == 4:
		l.emit(inst{kind: iExtend, dst: dst, src: l.register(x), size: asm.Word})
	default:
		l.emit(inst{kind: iMove, dst: dst, src: l.operand(x)})
		l.emit(inst{kind: iALU, alu: asm.And, dst: dst, src: useImm(1<<(8*v.Width) - 1)})
	}
}

func (l *lowering) memory(v *Value) {
	switch v.Op {
	case Load, LoadPtr:
		base, off := l.address(v.Args[0], v.Imm, v.Width)
		dst := l.reg(v)
		signed := v.Signed && v.Width < 8
		l.emit(inst{kind: iLoad, dst: dst, base: base, off: off, size: sizeOf(v.Width), signed: signed && l.o.CPU >= 4})
		if signed && l.o.CPU < 4 {
			l.shifts(dst, 64-8*int64(v.Width))
		}
	case Store:
		base, off := l.address(v.Args[0], v.Imm, v.Width)
		l.emit(inst{kind: iStore, base: base, off: off, src: l.stored(v), size: sizeOf(v.Width)})
	case AtomicAdd:
		base, off := l.address(v.Args[0], v.Imm, v.Width)
		l.emit(inst{kind: iAtomic, base: base, off: off, src: l.register(v.Args[1]), size: sizeOf(v.Width)})
	case Zero:
		base, off := l.address(v.Args[0], v.Imm, v.Width)
		for _, c := range chunks(v.Imm, v.Width, alignment(v.Args[0])) {
			l.emit(inst{kind: iStore, base: base, off: off + c.off - v.Imm, src: useImm(0), size: sizeOf(c.width)})
		}
	case Copy:
		l.copy(v)
	}
}

// stored is what a store writes: of a constant the bytes that count, so that it is an
// immediate wherever it can be.
func (l *lowering) stored(v *Value) operand {
	x := v.Args[1]
	if x.Op == Const && v.Width < 8 {
		bits := 64 - 8*v.Width
		return useImm(x.Imm << bits >> bits)
	}
	return l.source(x)
}

func (l *lowering) copy(v *Value) {
	to, off := l.address(v.Args[0], v.Imm, v.Width)
	from, start := l.address(v.Args[1], 0, v.Width)
	align := min(alignment(v.Args[0]), alignment(v.Args[1]), alignOf(v.Imm))
	for _, c := range chunks(0, v.Width, align) {
		r := l.m.newReg()
		l.emit(inst{kind: iLoad, dst: r, base: from, off: start + c.off, size: sizeOf(c.width)})
		l.emit(inst{kind: iStore, base: to, off: off + c.off, src: useReg(r), size: sizeOf(c.width)})
	}
}

func (l *lowering) call(v *Value) {
	in := inst{kind: iCall}
	for _, a := range v.Args {
		in.args = append(in.args, l.operand(a))
	}
	l.emit(in)
	if l.needed[v.ID] {
		l.emit(inst{kind: iMove, dst: l.reg(v), src: inReg(asm.R0)})
	}
}
