// SPDX-License-Identifier: Apache-2.0

package compile

import "github.com/cilium/ebpf/asm"

// vreg is a virtual register: any number of them, until registers are allocated.
type vreg int32

const noReg vreg = -1

// operandKind says what an operand of an instruction is.
type operandKind uint8

const (
	noOperand operandKind = iota
	virtual               // a virtual register
	physical              // a register, for parameters and results
	immediate             // imm, which fits an instruction
	leaf                  // what one instruction or two make anew: see operand.leaf
	spill                 // a word of the frame, number imm
)

// operand is what an instruction reads.
type operand struct {
	kind operandKind
	reg  vreg         // virtual
	phys asm.Register // physical
	// leaf is a constant, map, map value, function or slot, and imm is added to it.
	leaf *Value
	imm  int64
}

func useReg(r vreg) operand             { return operand{kind: virtual, reg: r} }
func useImm(n int64) operand            { return operand{kind: immediate, imm: n} }
func inReg(r asm.Register) operand      { return operand{kind: physical, phys: r} }
func (o operand) is(k operandKind) bool { return o.kind == k }

// instKind is a shape of instruction.
type instKind uint8

const (
	iLabel  instKind = iota // nothing: the place where a block begins
	iMove                   // dst = src
	iALU                    // dst op= src
	iUnary                  // dst = op dst, in place: negation and byte order
	iExtend                 // dst = src of size, sign-extended, or 4 bytes zero-extended
	iLoad                   // dst = *(base+off)
	iStore                  // *(base+off) = src
	iAtomic                 // *(base+off) += src, whole
	iSet                    // dst = base jump src, 1 or 0
	iCall                   // r0 = value(args...)
	iBranch                 // if base jump src, to the first successor, else to the second
	iJump                   // to the successor
	iExit                   // return src
)

// defines tells whether an instruction writes dst.
func (k instKind) defines() bool { return k >= iMove && k <= iLoad || k == iSet }

// modifies tells whether an instruction reads dst as well.
func (k instKind) modifies() bool { return k == iALU || k == iUnary }

// inst is an instruction before registers are allocated.
type inst struct {
	kind   instKind
	alu    asm.ALUOp
	jump   asm.JumpOp
	narrow bool // in 32 bits
	signed bool
	size   asm.Size
	off    int64
	dst    vreg
	base   operand
	src    operand
	args   []operand
	value  *Value // what it came from
	pos    Pos
}

// mphi is a phi: a virtual register and what it becomes from each predecessor.
type mphi struct {
	dst  vreg
	args []operand
}

// mblock is a block of instructions. The first is its label, the last its exit.
type mblock struct {
	block        *Block
	phis         []mphi
	insts        []inst
	succs, preds []*mblock
	index        int // in mfunc.blocks, which is their order in memory
	depth        int // of loops around it

	from, to int    // positions, see numberInsts
	liveIn   bitset // of m.globals
	liveOut  bitset
}

// mfunc is a function of instructions.
type mfunc struct {
	f      *Func
	blocks []*mblock
	vregs  int
	// remat is, by virtual register, the leaf that it holds, if it holds nothing else.
	remat []operand
	// globals are the virtual registers that live from one block to another: see liveness.
	globals []vreg
	// refined are virtual registers that a comparison tells the verifier more about.
	refined []bool
	slots   *frame
}

func (m *mfunc) newReg() vreg {
	m.vregs++
	m.remat = append(m.remat, operand{})
	m.refined = append(m.refined, false)
	return vreg(m.vregs - 1)
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (s bitset) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s bitset) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s bitset) remove(i int)   { s[i/64] &^= 1 << (i % 64) }

// union adds another's members and tells whether that changed anything.
func (s bitset) union(other bitset) bool {
	changed := false
	for i, w := range other {
		if w&^s[i] != 0 {
			s[i] |= w
			changed = true
		}
	}
	return changed
}

func (s bitset) clone() bitset { return append(bitset(nil), s...) }

// each calls f with each member in order.
func (s bitset) each(f func(i int)) {
	for w, word := range s {
		for i := 0; word != 0; i++ {
			if word&1 != 0 {
				f(w*64 + i)
			}
			word >>= 1
		}
	}
}
