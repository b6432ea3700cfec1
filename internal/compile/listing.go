// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// String is the code as text, one instruction a line, in the notation of LLVM and bpftool:
// numbered by slot, with the line of the user's text where that changes.
func (c *Code) String() string {
	var s strings.Builder
	slot := 0
	var last Pos
	for i := range c.Instructions {
		in := &c.Instructions[i]
		if name := in.Symbol(); name != "" {
			fmt.Fprintf(&s, "%s:\n", name)
		}
		if pos := c.Positions[slot]; pos.Line != last.Line {
			fmt.Fprintf(&s, "; line %d\n", pos.Line)
			last = pos
		}
		fmt.Fprintf(&s, "%4d: %s\n", slot, instText(in, slot))
		slot += int(in.Width())
	}
	return s.String()
}

func instText(in *asm.Instruction, slot int) string {
	switch class := in.OpCode.Class(); {
	case class.IsALU():
		return aluText(in)
	case class.IsJump():
		return jumpText(in, slot)
	case in.OpCode.IsDWordLoad():
		return wideText(in)
	}
	return memoryText(in)
}

// aluSigns are operators as they are written before "=".
var aluSigns = map[asm.ALUOp]string{
	asm.Add: "+", asm.Sub: "-", asm.Mul: "*", asm.Div: "/", asm.Mod: "%", asm.SDiv: "s/", asm.SMod: "s%", asm.And: "&",
	asm.Or: "|", asm.Xor: "^", asm.LSh: "<<", asm.RSh: ">>", asm.ArSh: "s>>", asm.Mov: "",
}

func aluText(in *asm.Instruction) string {
	name := "r"
	if in.OpCode.Class() == asm.ALUClass {
		name = "w"
	}
	dst := fmt.Sprintf("%s%d", name, in.Dst)
	op := in.OpCode.ALUOp()
	switch {
	case op == asm.Neg:
		return fmt.Sprintf("%s = -%s", dst, dst)
	case op == asm.Swap:
		return fmt.Sprintf("r%d = swap%d r%d", in.Dst, in.Constant, in.Dst)
	case op == asm.MovSX8 || op == asm.MovSX16 || op == asm.MovSX32:
		return fmt.Sprintf("%s = (s%d)r%d", dst, 8<<((op-asm.MovSX8)>>8), in.Src)
	case in.OpCode.Source() == asm.ImmSource:
		return fmt.Sprintf("%s %s= %d", dst, aluSigns[op], in.Constant)
	}
	return fmt.Sprintf("%s %s= %s%d", dst, aluSigns[op], name, in.Src)
}

var jumpSigns = map[asm.JumpOp]string{
	asm.JEq: "==", asm.JNE: "!=", asm.JGT: ">", asm.JGE: ">=", asm.JLT: "<", asm.JLE: "<=", asm.JSet: "&",
	asm.JSGT: "s>", asm.JSGE: "s>=", asm.JSLT: "s<", asm.JSLE: "s<=",
}

func jumpText(in *asm.Instruction, slot int) string {
	target := slot + 1 + int(in.Offset)
	switch op := in.OpCode.JumpOp(); op {
	case asm.Exit:
		return "exit"
	case asm.Call:
		if in.Src == asm.PseudoCall {
			return "call " + in.Reference()
		}
		return fmt.Sprintf("call %s", asm.BuiltinFunc(in.Constant))
	case asm.Ja:
		return fmt.Sprintf("goto %d", target)
	default:
		name := "r"
		if in.OpCode.Class() == asm.Jump32Class {
			name = "w"
		}
		right := fmt.Sprintf("%s%d", name, in.Src)
		if in.OpCode.Source() == asm.ImmSource {
			right = fmt.Sprint(in.Constant)
		}
		return fmt.Sprintf("if %s%d %s %s goto %d", name, in.Dst, jumpSigns[op], right, target)
	}
}

func wideText(in *asm.Instruction) string {
	switch {
	case in.Src == asm.PseudoMapFD:
		return fmt.Sprintf("r%d = map %s", in.Dst, in.Reference())
	case in.Src == asm.PseudoMapValue:
		return fmt.Sprintf("r%d = value of %s + %d", in.Dst, in.Reference(), uint64(in.Constant)>>32)
	case in.Src == asm.PseudoFunc:
		return fmt.Sprintf("r%d = function %s", in.Dst, in.Reference())
	}
	return fmt.Sprintf("r%d = %#x", in.Dst, uint64(in.Constant))
}

func memoryText(in *asm.Instruction) string {
	bits := 8 * in.OpCode.Size().Sizeof()
	at := func(r asm.Register) string { return fmt.Sprintf("(r%d %+d)", r, in.Offset) }
	switch {
	case in.OpCode.Mode() == asm.AtomicMode:
		return fmt.Sprintf("lock *(u%d *)%s += r%d", bits, at(in.Dst), in.Src)
	case in.OpCode.Mode() == asm.MemSXMode:
		return fmt.Sprintf("r%d = *(s%d *)%s", in.Dst, bits, at(in.Src))
	case in.OpCode.Class() == asm.LdXClass:
		return fmt.Sprintf("r%d = *(u%d *)%s", in.Dst, bits, at(in.Src))
	case in.OpCode.Class() == asm.StXClass:
		return fmt.Sprintf("*(u%d *)%s = r%d", bits, at(in.Dst), in.Src)
	}
	return fmt.Sprintf("*(u%d *)%s = %d", bits, at(in.Dst), in.Constant)
}
