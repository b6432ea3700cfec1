// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"math"

	"github.com/cilium/ebpf/asm"
)

// lowering selects instructions for a function, from its last value to its first: a value
// that all of its users took into themselves (an address into the offset of a load, a
// comparison into a branch, a constant into an immediate) is then known not to be needed.
//
// Invariants: what comes out computes each needed value once, in its block; leaves (see
// isLeaf) are made again where each is used, so that no register holds them for long.
type lowering struct {
	m      *mfunc
	o      Options
	regs   []vreg // by value ID
	needed []bool // by value ID
	uses   []int  // by value ID
	// out is the block's instructions, last first; now is those of one value, in order.
	out, now []inst
	at       *Value // whose position instructions get
	pos      Pos
}

// selectInstructions lowers a function whose critical edges are split.
func selectInstructions(f *Func, order []*Block, o Options, slots *frame) *mfunc {
	l := &lowering{
		m: &mfunc{f: f, slots: slots}, o: o,
		regs: make([]vreg, f.values), needed: make([]bool, f.values), uses: countUses(f),
	}
	for i := range l.regs {
		l.regs[i] = noReg
	}
	made := make(map[*Block]*mblock, len(order))
	for i, b := range order {
		mb := &mblock{block: b, index: i}
		made[b] = mb
		l.m.blocks = append(l.m.blocks, mb)
	}
	for _, mb := range l.m.blocks {
		for _, s := range mb.block.Succs {
			mb.succs = append(mb.succs, made[s])
		}
		for _, p := range mb.block.Preds {
			mb.preds = append(mb.preds, made[p])
		}
	}
	l.phis()
	for i := len(l.m.blocks) - 1; i >= 0; i-- {
		l.block(l.m.blocks[i])
	}
	return l.m
}

func countUses(f *Func) []int {
	uses := make([]int, f.values)
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for _, a := range v.Args {
				uses[a.ID]++
			}
		}
		if b.Control != nil {
			uses[b.Control.ID]++
		}
	}
	return uses
}

// phis gives phis their registers first: what they take from later blocks is needed there.
func (l *lowering) phis() {
	for _, mb := range l.m.blocks {
		for _, v := range mb.block.Values {
			if v.Op != Phi {
				break
			}
			p := mphi{dst: l.reg(v)}
			for _, a := range v.Args {
				p.args = append(p.args, l.operand(a))
			}
			mb.phis = append(mb.phis, p)
		}
	}
}

func (l *lowering) block(mb *mblock) {
	b := mb.block
	l.out = nil
	l.at, l.pos = nil, b.Pos
	if n := len(b.Values); n > 0 {
		l.pos = b.Values[n-1].Pos
	}
	if b.Control != nil {
		l.pos = b.Control.Pos
	}
	l.exit(b)
	l.flush()
	for i := len(b.Values) - 1; i >= 0 && b.Values[i].Op != Phi; i-- {
		v := b.Values[i]
		if l.needed[v.ID] || !v.Op.isDroppable() {
			l.at, l.pos = v, v.Pos
			l.value(v)
			l.flush()
		}
	}
	l.emit(inst{kind: iLabel})
	l.flush()
	for i, j := 0, len(l.out)-1; i < j; i, j = i+1, j-1 {
		l.out[i], l.out[j] = l.out[j], l.out[i]
	}
	mb.insts = l.out
}

func (l *lowering) emit(in inst) {
	in.value, in.pos = l.at, l.pos
	if !in.kind.defines() {
		in.dst = noReg
	}
	l.now = append(l.now, in)
}

// flush puts the instructions of one value before those that are there.
func (l *lowering) flush() {
	for i := len(l.now) - 1; i >= 0; i-- {
		l.out = append(l.out, l.now[i])
	}
	l.now = l.now[:0]
}

// reg is the register of a value, which is thereby needed. A pointer that was compared
// with 0 has that of what was compared: the verifier knows both by it.
func (l *lowering) reg(v *Value) vreg {
	for v.Op == NonNull {
		v = v.Args[0]
	}
	l.needed[v.ID] = true
	if l.regs[v.ID] == noReg {
		l.regs[v.ID] = l.m.newReg()
	}
	return l.regs[v.ID]
}

// fits tells whether a number is an immediate of an instruction.
func fits(n int64) bool { return n >= math.MinInt32 && n <= math.MaxInt32 }

// isLeaf tells whether a value is made anew at each use. Wide constants and addresses in
// maps take two slots: [sink] made one of them for each block.
func isLeaf(v *Value) bool {
	switch v.Op {
	case Const:
		return fits(v.Imm)
	case Slot, MapOf, FuncOf:
		return true
	}
	return false
}

// operand is a value where anything may stand: moves, arguments, phis.
func (l *lowering) operand(v *Value) operand {
	slot, off := slotAddress(v)
	switch {
	case v.Op == Const && fits(v.Imm):
		return useImm(v.Imm)
	case slot != nil:
		return operand{kind: leaf, leaf: slot, imm: off}
	case isLeaf(v):
		return operand{kind: leaf, leaf: v}
	}
	return useReg(l.reg(v))
}

// source is a value where a register or an immediate may stand.
func (l *lowering) source(v *Value) operand {
	o := l.operand(v)
	if o.is(leaf) {
		return useReg(l.load(o))
	}
	return o
}

// register is a value in a register.
func (l *lowering) register(v *Value) operand {
	o := l.operand(v)
	if o.is(virtual) {
		return o
	}
	return useReg(l.load(o))
}

// load makes a leaf in a register of its own.
func (l *lowering) load(o operand) vreg {
	r := l.m.newReg()
	l.m.remat[r] = o
	l.emit(inst{kind: iMove, dst: r, src: o})
	return r
}

// slotAddress is the slot that a value is a fixed offset into, if it is.
func slotAddress(v *Value) (slot *Value, offset int64) {
	for {
		switch {
		case v.Op == Slot:
			return v, offset
		case v.Op == Add && v.Type == Stack && v.Args[1].Op == Const:
			offset += v.Args[1].Imm
			v = v.Args[0]
		default:
			return nil, 0
		}
	}
}

// address is where a load or store of size bytes is: a slot or a register, and an offset.
// Additions of constants are taken into the offset.
func (l *lowering) address(p *Value, offset int64, size int) (operand, int64) {
	for p.Op == Add && p.Args[1].Op == Const {
		n := offset + p.Args[1].Imm
		if n < math.MinInt16 || n+int64(size) > math.MaxInt16 {
			break
		}
		p, offset = p.Args[0], n
	}
	if p.Op == Slot {
		return operand{kind: leaf, leaf: p}, offset
	}
	return l.register(p), offset
}

func sizeOf(width int) asm.Size {
	switch width {
	case 1:
		return asm.Byte
	case 2:
		return asm.Half
	case 4:
		return asm.Word
	}
	return asm.DWord
}
