// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"runtime"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/generate"
)

// mutations are mistakes that a compiler can make: each changes what it compiles, or what
// came out of it, everywhere.
var mutations = []struct {
	name  string
	value func(v *compile.Value)
	code  func(insns asm.Instructions)
}{
	{name: "signed comparisons are unsigned", code: each(jumps(map[asm.JumpOp]asm.JumpOp{
		asm.JSLT: asm.JLT, asm.JSLE: asm.JLE, asm.JSGT: asm.JGT, asm.JSGE: asm.JGE,
	}))},
	{name: "unsigned comparisons are signed", value: ops(map[compile.Op]compile.Op{compile.ULess: compile.SLess, compile.ULessEqual: compile.SLessEqual})},
	{name: "a branch has the wrong sense", code: each(jumps(map[asm.JumpOp]asm.JumpOp{asm.JEq: asm.JNE, asm.JNE: asm.JEq}))},
	{name: "less is less or equal", code: each(jumps(map[asm.JumpOp]asm.JumpOp{asm.JLT: asm.JLE, asm.JGT: asm.JGE}))},
	{name: "signed division is unsigned", value: ops(map[compile.Op]compile.Op{compile.SDiv: compile.UDiv, compile.SMod: compile.UMod})},
	{name: "arithmetic shift is logical", value: ops(map[compile.Op]compile.Op{compile.AShr: compile.LShr})},
	{name: "shifts count modulo 32", value: func(v *compile.Value) {
		if isShift(v.Op) && v.Args[1].Op == compile.Const {
			v.Args[1].Imm &= 31
		}
	}},
	{name: "shift by one too many", code: each(func(in *asm.Instruction) {
		if op := in.OpCode.ALUOp(); op == asm.LSh && in.OpCode.Source() == asm.ImmSource && in.Constant < 63 {
			in.Constant++
		}
	})},
	{name: "operands of a subtraction in the wrong order", value: func(v *compile.Value) {
		if v.Op == compile.Sub && v.Args[0].Type == compile.Word && v.Args[1].Type == compile.Word {
			v.Args[0], v.Args[1] = v.Args[1], v.Args[0]
		}
	}},
	{name: "loads of 4 bytes read 2", code: each(func(in *asm.Instruction) {
		if in.OpCode == asm.LoadMemOp(asm.Word) {
			in.OpCode = asm.LoadMemOp(asm.Half)
		}
	})},
	{name: "loads forget the sign", value: func(v *compile.Value) { v.Signed = false }},
	{name: "a store is dropped", code: first(isStore, 3, nop)},
	{name: "stores of a register to the frame are one word off", code: each(func(in *asm.Instruction) {
		if in.OpCode == asm.StoreMemOp(asm.DWord) && in.Dst == asm.RFP && in.Offset <= -16 {
			in.Offset += 8
		}
	})},
	{name: "the copy of a phi is missing", code: beforeJumps(nop)},
	{name: "what lives over a call is in a register that calls change", code: each(func(in *asm.Instruction) {
		if !in.OpCode.IsDWordLoad() {
			in.Src = stale(in.Src)
		}
		in.Dst = stale(in.Dst)
	})},
	{name: "zero-extension is dropped", code: each(func(in *asm.Instruction) {
		if in.OpCode == asm.Mov.Op32(asm.RegSource) {
			in.OpCode = asm.Mov.Op(asm.RegSource)
		}
	})},
	{name: "sign-extension is dropped", value: ops(map[compile.Op]compile.Op{compile.SignExtend: compile.ZeroExtend})},
	{name: "large constants lose their upper half", code: each(func(in *asm.Instruction) {
		if in.IsConstantLoad(asm.DWord) {
			in.Constant = int64(int32(in.Constant))
		}
	})},
	{name: "zeroing is one byte short", value: func(v *compile.Value) {
		if v.Op == compile.Zero && v.Width > 1 {
			v.Width--
		}
	}},
	{name: "copies begin one byte late", value: func(v *compile.Value) {
		if v.Op == compile.Copy && v.Width > 1 {
			v.Imm++
			v.Width--
		}
	}},
	{name: "an atomic addition stores", code: each(func(in *asm.Instruction) {
		if op := in.OpCode.AtomicOp(); op == asm.AddAtomic {
			in.OpCode = asm.StoreMemOp(in.OpCode.Size())
		}
	})},
	{name: "swaps are not done", code: each(func(in *asm.Instruction) {
		if in.OpCode.ALUOp() == asm.Swap {
			nop(in)
		}
	})},
	{name: "a comparison of 64 bits is of 32", code: each(func(in *asm.Instruction) {
		if op := in.OpCode.JumpOp(); in.OpCode.Class() == asm.JumpClass && op != asm.Exit && op != asm.Call && op != asm.Ja {
			in.OpCode = in.OpCode&^7 | asm.OpCode(asm.Jump32Class)
		}
	})},
}

// TestMutations proves that the comparison would notice: of each mistake, a few programs
// are enough.
func TestMutations(t *testing.T) {
	const programs = 400
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			for seed := range uint64(programs) {
				if caught(t, seed, m.value, m.code) {
					t.Logf("caught by program %d", seed)
					return
				}
			}
			t.Errorf("%d programs did not notice", programs)
		})
	}
}

// caught compares an evaluation with what was compiled by a compiler that makes a mistake.
func caught(t *testing.T, seed uint64, value func(*compile.Value), code func(asm.Instructions)) bool {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := generate.Program(choicesOf(seed))
	want := evaluated(p, contextOf(seed))
	if value != nil {
		for _, f := range p.Funcs {
			for _, b := range f.Blocks {
				for _, v := range b.Values {
					value(v)
				}
			}
		}
	}
	c, err := compiled(p, 3+int(seed%2))
	if err != nil {
		return false // a mistake that shows itself proves nothing
	}
	if code != nil {
		code(c.Instructions)
	}
	return !interpreted(c, contextOf(seed)).equal(want)
}

func each(change func(*asm.Instruction)) func(asm.Instructions) {
	return func(insns asm.Instructions) {
		for i := range insns {
			change(&insns[i])
		}
	}
}

// first changes the n-th of some instructions, from 0.
func first(which func(*asm.Instruction) bool, n int, change func(*asm.Instruction)) func(asm.Instructions) {
	return func(insns asm.Instructions) {
		left := n
		for i := range insns {
			if !which(&insns[i]) {
				continue
			}
			if left == 0 {
				change(&insns[i])
				return
			}
			left--
		}
	}
}

// beforeJumps changes copies between registers right before an unconditional jump or the
// head of a loop, where the copies of phis are.
func beforeJumps(change func(*asm.Instruction)) func(asm.Instructions) {
	return func(insns asm.Instructions) {
		for i := range insns[:len(insns)-1] {
			if insns[i].OpCode == asm.Mov.Op(asm.RegSource) && insns[i+1].OpCode == asm.Ja.Op(asm.ImmSource) {
				change(&insns[i])
			}
		}
	}
}

func jumps(by map[asm.JumpOp]asm.JumpOp) func(*asm.Instruction) {
	return func(in *asm.Instruction) {
		if to, ok := by[in.OpCode.JumpOp()]; ok && in.OpCode.Class().IsJump() {
			in.OpCode = in.OpCode.SetJumpOp(to)
		}
	}
}

func ops(by map[compile.Op]compile.Op) func(*compile.Value) {
	return func(v *compile.Value) {
		if to, ok := by[v.Op]; ok {
			v.Op = to
		}
	}
}

func isShift(op compile.Op) bool {
	return op == compile.Shl || op == compile.LShr || op == compile.AShr
}

func isStore(in *asm.Instruction) bool {
	return in.OpCode.Class().IsStore() && in.OpCode.Mode() == asm.MemMode
}

// nop leaves an instruction without effect, and metadata and length as they are.
func nop(in *asm.Instruction) {
	in.OpCode, in.Dst, in.Src, in.Offset, in.Constant = asm.Ja.Op(asm.ImmSource), 0, 0, 0, 0
}

// stale exchanges r6, which calls keep, with r5, which no helper here takes an argument in.
func stale(r asm.Register) asm.Register {
	switch r {
	case asm.R6:
		return asm.R5
	case asm.R5:
		return asm.R6
	}
	return r
}
