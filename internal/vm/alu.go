// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

// arithmetic executes an instruction of both ALU classes.
func (f *frame) arithmetic(in *inst, wide bool) error {
	if in.offset != 0 {
		return errNoSuch // the assembler has the kernel's variants as operations of their own
	}
	op := in.op.ALUOp()
	var b Value
	var err error
	switch {
	case op == asm.Neg || op == asm.Swap:
	case in.op.Source() == asm.RegSource:
		b, err = f.get(in.src)
	default:
		b = Number(uint64(in.imm))
	}
	if err != nil {
		return err
	}
	if op == asm.Mov && wide {
		return f.set(in.dst, b)
	}
	var a Value
	if !isMove(op) {
		if a, err = f.get(in.dst); err != nil {
			return err
		}
	}
	if a.Region != nil || b.Region != nil {
		v, err := PointerArithmetic(op, wide, a, b)
		if err != nil {
			return err
		}
		return f.set(in.dst, v)
	}
	if op == asm.Swap {
		n, ok := swap(in.op, in.imm, a.Number)
		if !ok {
			return errNoSuch
		}
		return f.set(in.dst, Number(n))
	}
	n, ok := compute(op, wide, a.Number, b.Number)
	if !ok {
		return errNoSuch
	}
	return f.set(in.dst, Number(n))
}

func isMove(op asm.ALUOp) bool {
	return op == asm.Mov || op == asm.MovSX8 || op == asm.MovSX16 || op == asm.MovSX32
}

// PointerArithmetic is what can be done with pointers: a number added or subtracted, and
// two into one region subtracted.
func PointerArithmetic(op asm.ALUOp, wide bool, a, b Value) (Value, error) {
	switch {
	case !wide:
		return Value{}, errPointerMath
	case op == asm.Add && b.Region == nil:
		return Value{Number: a.Number + b.Number, Region: a.Region}, nil
	case op == asm.Add && a.Region == nil:
		return Value{Number: a.Number + b.Number, Region: b.Region}, nil
	case op == asm.Sub && b.Region == nil:
		return Value{Number: a.Number - b.Number, Region: a.Region}, nil
	case op == asm.Sub && a.Region == b.Region:
		return Number(a.Number - b.Number), nil
	}
	return Value{}, errPointerMath
}

// compute is arithmetic on numbers; ok is false of an operation that does not exist.
func compute(op asm.ALUOp, wide bool, a, b uint64) (n uint64, ok bool) {
	width := 64
	if !wide {
		width = 32
		a, b = uint64(uint32(a)), uint64(uint32(b))
	}
	switch op {
	case asm.Mov:
		n = b
	case asm.MovSX8:
		n = uint64(signExtend(b, 8))
	case asm.MovSX16:
		n = uint64(signExtend(b, 16))
	case asm.MovSX32:
		n = uint64(signExtend(b, 32))
		ok = wide
	case asm.Add:
		n = a + b
	case asm.Sub:
		n = a - b
	case asm.Mul:
		n = a * b
	case asm.Or:
		n = a | b
	case asm.And:
		n = a & b
	case asm.Xor:
		n = a ^ b
	case asm.Neg:
		n = -a
	case asm.Div, asm.Mod, asm.SDiv, asm.SMod:
		n = divide(op, a, b, width)
	case asm.LSh, asm.RSh, asm.ArSh:
		n = shift(op, a, b, width)
	default:
		return 0, false
	}
	if !wide {
		n = uint64(uint32(n))
	}
	return n, ok || op != asm.MovSX32
}

// divide has no exceptions: x/0 is 0, x%0 is x, and the smallest by -1 is itself, leaving 0.
func divide(op asm.ALUOp, a, b uint64, width int) uint64 {
	if b == 0 {
		if op == asm.Div || op == asm.SDiv {
			return 0
		}
		return a
	}
	sa, sb := signExtend(a, width), signExtend(b, width)
	switch op {
	case asm.Div:
		return a / b
	case asm.Mod:
		return a % b
	case asm.SDiv:
		return uint64(sa / sb) // Go's wraps too
	}
	return uint64(sa % sb)
}

// shift counts modulo the width.
func shift(op asm.ALUOp, a, b uint64, width int) uint64 {
	count := b & uint64(width-1)
	switch op {
	case asm.LSh:
		return a << count
	case asm.RSh:
		return a >> count
	}
	return uint64(signExtend(a, width) >> count)
}

// swap is a conversion of the byte order of the lowest 16, 32 or 64 bits.
func swap(op asm.OpCode, width int64, n uint64) (uint64, bool) {
	reverse := op.Class() == asm.ALU64Class || op.Endianness() == asm.BE
	if op.Class() == asm.ALU64Class && op.Endianness() == asm.BE {
		return 0, false
	}
	if width != 16 && width != 32 && width != 64 {
		return 0, false
	}
	if reverse {
		return bits.ReverseBytes64(n) >> (64 - width), true
	}
	return n << (64 - width) >> (64 - width), true
}

// signExtend is the lowest bits of a number, with their sign.
func signExtend(n uint64, width int) int64 {
	return int64(n<<(64-width)) >> (64 - width)
}
