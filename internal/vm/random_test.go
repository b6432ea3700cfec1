// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/cilium/ebpf/asm"
)

// randomProgram is instructions that the verifier is likely to accept: registers that are
// read were set, and memory is a frame whose slots were written, or a value of a map.
// r6 points to the value "out", r7 counts down what is left of loops.
type randomProgram struct {
	*rand.Rand
	insns  asm.Instructions
	labels int
	depth  int
	// set tells of r0 to r9 which hold numbers.
	set   [10]bool
	inSub bool
	subs  []asm.Instructions
}

const (
	randomSlots = 12 // of 8 bytes below r10
	outSize     = 96
)

func newRandom(seed uint64, size int) asm.Instructions {
	r := &randomProgram{Rand: rand.New(rand.NewPCG(seed, 1))}
	r.emit(asm.Mov.Reg(asm.R8, asm.R1))
	r.prologue()
	for range size {
		r.statement()
	}
	r.epilogue()
	for _, s := range r.subs {
		r.insns = append(r.insns, s...)
	}
	return r.insns
}

func (r *randomProgram) emit(ins ...asm.Instruction) { r.insns = append(r.insns, ins...) }

// prologue puts the context into slots and registers.
func (r *randomProgram) prologue() {
	for i := range randomSlots {
		r.emit(asm.LoadMem(asm.R0, asm.R8, int16(8*i), asm.DWord), asm.StoreMem(asm.RFP, int16(-8*(i+1)), asm.R0, asm.DWord))
	}
	r.emit(asm.LoadMapValue(asm.R6, 0, 0).WithReference("out"), asm.Mov.Imm(asm.R7, 0))
	for reg := asm.R0; reg < asm.R10; reg++ {
		if reg != asm.R6 && reg != asm.R7 {
			r.emit(asm.LoadMem(reg, asm.RFP, int16(-8*(1+r.IntN(randomSlots))), asm.DWord))
			r.set[reg] = true
		}
	}
}

// epilogue stores what is left, for comparison.
func (r *randomProgram) epilogue() {
	for reg := range asm.R10 {
		if r.set[reg] {
			r.emit(asm.StoreMem(asm.R6, int16(8*reg), reg, asm.DWord))
		}
	}
	r.emit(asm.Mov.Imm(asm.R0, 0))
	for i := range randomSlots {
		r.emit(asm.LoadMem(asm.R1, asm.RFP, int16(-8*(i+1)), asm.DWord), asm.Mul.Imm(asm.R0, 31), asm.Xor.Reg(asm.R0, asm.R1))
	}
	r.emit(asm.StoreMem(asm.R6, 88, asm.R0, asm.DWord), asm.Return())
}

func (r *randomProgram) number() asm.Register {
	for {
		if reg := asm.Register(r.IntN(10)); r.set[reg] {
			return reg
		}
	}
}

func (r *randomProgram) imm() int32 {
	switch r.IntN(4) {
	case 0:
		return int32(r.Uint32())
	case 1:
		return []int32{0, 1, -1, -1 << 31, 1<<31 - 1, 31, 32, 63, 255, -128, 0xffff}[r.IntN(11)]
	}
	return int32(r.IntN(64))
}

func (r *randomProgram) statement() {
	switch n := r.IntN(20); {
	case n < 9:
		r.alu()
	case n < 13:
		r.memory()
	case n < 14:
		r.atomic()
	case n < 17:
		r.branch()
	case n < 18:
		r.repeat()
	case n < 19:
		r.mapCall()
	default:
		r.subprogram()
	}
}

func (r *randomProgram) alu() {
	dst, src := r.number(), r.number()
	ops := []asm.ALUOp{
		asm.Add, asm.Sub, asm.Mul, asm.Div, asm.SDiv, asm.Or, asm.And, asm.LSh, asm.RSh, asm.Mod, asm.SMod, asm.Xor, asm.Mov, asm.ArSh,
		asm.Neg, asm.Swap, asm.MovSX8, asm.MovSX16, asm.MovSX32,
	}
	op, wide := ops[r.IntN(len(ops))], r.IntN(2) == 0
	size := []asm.Size{asm.Half, asm.Word, asm.DWord}[r.IntN(3)]
	var ins asm.Instruction
	switch {
	case op == asm.Swap && wide:
		ins = asm.BSwap(dst, size)
	case op == asm.Swap:
		ins = asm.HostTo([]asm.Endianness{asm.LE, asm.BE}[r.IntN(2)], dst, size)
	case op == asm.MovSX32 || (op == asm.MovSX8 || op == asm.MovSX16) && wide:
		ins = op.Reg(dst, src)
	case op == asm.MovSX8 || op == asm.MovSX16:
		ins = op.Reg32(dst, src)
	case op == asm.Neg:
		ins = asm.Instruction{OpCode: op.Op(asm.ImmSource), Dst: dst}
		if !wide {
			ins.OpCode = op.Op32(asm.ImmSource)
		}
	case r.IntN(2) == 0 && wide:
		ins = op.Reg(dst, src)
	case r.IntN(2) == 0:
		ins = op.Reg32(dst, src)
	default:
		ins = r.aluImm(op, dst, wide)
	}
	r.emit(ins)
}

// aluImm avoids what the verifier refuses outright.
func (r *randomProgram) aluImm(op asm.ALUOp, dst asm.Register, wide bool) asm.Instruction {
	imm := r.imm()
	if op == asm.LSh || op == asm.RSh || op == asm.ArSh {
		imm &= 31
	}
	if imm == 0 && (op == asm.Div || op == asm.SDiv || op == asm.Mod || op == asm.SMod) {
		imm = 7
	}
	if wide {
		return op.Imm(dst, imm)
	}
	return op.Imm32(dst, imm)
}

// place is a base and an offset that size bytes can be read and written at.
func (r *randomProgram) place(size int) (asm.Register, int16) {
	if r.IntN(3) == 0 && !r.inSub {
		return asm.R6, int16(r.IntN(outSize-size+1) / size * size)
	}
	return asm.RFP, int16(-8*randomSlots + r.IntN(8*randomSlots/size)*size)
}

func (r *randomProgram) size() asm.Size {
	return []asm.Size{asm.Byte, asm.Half, asm.Word, asm.DWord}[r.IntN(4)]
}

func (r *randomProgram) memory() {
	size := r.size()
	base, offset := r.place(size.Sizeof())
	switch r.IntN(4) {
	case 0:
		r.emit(asm.LoadMem(r.number(), base, offset, size))
	case 1:
		if size == asm.DWord {
			size = asm.Word
		}
		r.emit(asm.LoadMemSX(r.number(), base, offset, size))
	case 2:
		r.emit(asm.Instruction{OpCode: asm.StoreImmOp(size), Dst: base, Offset: offset, Constant: int64(r.imm())})
	default:
		r.emit(asm.StoreMem(base, offset, r.number(), size))
	}
}

func (r *randomProgram) atomic() {
	size := []asm.Size{asm.Word, asm.DWord}[r.IntN(2)]
	base, offset := r.place(size.Sizeof())
	ops := []asm.AtomicOp{
		asm.AddAtomic, asm.FetchAdd, asm.AndAtomic, asm.FetchAnd, asm.OrAtomic, asm.FetchOr, asm.XorAtomic, asm.FetchXor, asm.Xchg, asm.CmpXchg,
	}
	r.emit(atomic(ops[r.IntN(len(ops))], base, r.number(), size, offset))
}

// atomic also puts the operation where the kernel looks for it: the assembler (v0.22.0)
// writes Constant as it is, so that without this every atomic is an addition.
func atomic(op asm.AtomicOp, dst, src asm.Register, size asm.Size, offset int16) asm.Instruction {
	ins := op.Mem(dst, src, size, offset)
	ins.Constant = int64(op >> 8)
	return ins
}

func (r *randomProgram) label() string {
	r.labels++
	return fmt.Sprintf("l%d", r.labels)
}

func (r *randomProgram) branch() {
	if r.depth > 2 {
		return
	}
	ops := []asm.JumpOp{asm.JEq, asm.JGT, asm.JGE, asm.JSet, asm.JNE, asm.JSGT, asm.JSGE, asm.JLT, asm.JLE, asm.JSLT, asm.JSLE}
	op, end, otherwise := ops[r.IntN(len(ops))], r.label(), r.label()
	dst, src := r.number(), r.number()
	r.emit([]asm.Instruction{
		op.Imm(dst, r.imm(), otherwise), op.Imm32(dst, r.imm(), otherwise), op.Reg(dst, src, otherwise), op.Reg32(dst, src, otherwise),
	}[r.IntN(4)])
	r.body()
	if r.IntN(2) == 0 {
		r.emit(asm.Ja.Label(end))
	} else {
		r.emit(asm.LongJump(end))
	}
	r.mark(otherwise)
	r.body()
	r.mark(end)
}

func (r *randomProgram) mark(label string) {
	r.emit(asm.Mov.Reg(asm.R7, asm.R7).WithSymbol(label))
}

// body is a few statements; what they unset stays so.
func (r *randomProgram) body() {
	r.depth++
	for range r.IntN(4) {
		r.statement()
	}
	r.depth--
}

// repeat is a loop of constant bound, counted in r7.
func (r *randomProgram) repeat() {
	if r.depth > 0 || r.inSub {
		return
	}
	head := r.label()
	r.emit(asm.Mov.Imm(asm.R7, int32(1+r.IntN(4))))
	r.mark(head)
	r.depth++
	r.body()
	r.depth--
	r.emit(asm.Sub.Imm(asm.R7, 1), asm.JNE.Imm(asm.R7, 0, head))
}

// mapCall calls a helper of the hash "table", with a key of few values.
func (r *randomProgram) mapCall() {
	if r.inSub || r.depth > 1 {
		return
	}
	r.emit(asm.Mov.Reg(asm.R0, r.number()), asm.And.Imm(asm.R0, 7), asm.StoreMem(asm.RFP, -104, asm.R0, asm.DWord))
	r.emit(asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -104), asm.LoadMapPtr(asm.R1, 0).WithReference("table"))
	none := r.label()
	switch r.IntN(3) {
	case 0:
		r.emit(asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, none), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord))
		r.emit(asm.Add.Imm(asm.R1, 3), asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord))
		r.emit(atomic(asm.FetchAdd, asm.R0, asm.R1, asm.DWord, 0), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord))
		r.mark(none)
		r.emit(asm.Mov.Imm(asm.R0, 1))
	case 1:
		r.emit(asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, int32(-8*(1+r.IntN(randomSlots)))), asm.Mov.Imm(asm.R4, int32(r.IntN(4))))
		r.emit(asm.FnMapUpdateElem.Call())
	default:
		r.emit(asm.FnMapDeleteElem.Call())
	}
	for reg := asm.R1; reg <= asm.R5; reg++ {
		r.emit(asm.Mov.Reg(reg, asm.R0))
	}
}

// subprogram calls a new function of five numbers, with a frame of its own.
func (r *randomProgram) subprogram() {
	if r.inSub || r.depth > 1 || len(r.subs) > 3 {
		return
	}
	name := fmt.Sprintf("sub%d", len(r.subs))
	s := &randomProgram{Rand: r.Rand, inSub: true, labels: 1000 * (len(r.subs) + 1)}
	s.emit(asm.Mov.Imm(asm.R7, 0).WithSymbol(name))
	for i := range randomSlots {
		s.emit(asm.StoreMem(asm.RFP, int16(-8*(i+1)), asm.R1+asm.Register(i%5), asm.DWord))
	}
	for _, reg := range []asm.Register{0, 6, 8, 9} {
		s.emit(asm.Mov.Reg(reg, asm.R2))
	}
	s.set = [10]bool{true, true, true, true, true, true, true, false, true, true}
	for range r.IntN(8) {
		s.statement()
	}
	s.emit(asm.Return())
	r.subs = append(r.subs, s.insns)
	r.emit(asm.Call.Label(name))
	for reg := asm.R1; reg <= asm.R5; reg++ {
		r.emit(asm.Mov.Reg(reg, asm.R0))
	}
}
