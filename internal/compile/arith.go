// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"math"
	"math/bits"
)

// foldBinary computes what the instructions of an operation would.
func foldBinary(op Op, x, y int64) int64 {
	switch op {
	case Add:
		return x + y
	case Sub:
		return x - y
	case Mul:
		return x * y
	case And:
		return x & y
	case Or:
		return x | y
	case Xor:
		return x ^ y
	case Shl:
		return x << (uint64(y) & 63)
	case LShr:
		return int64(uint64(x) >> (uint64(y) & 63))
	case AShr:
		return x >> (uint64(y) & 63)
	}
	return foldDivision(op, x, y)
}

func foldDivision(op Op, x, y int64) int64 {
	switch {
	case y == 0 && (op == UDiv || op == SDiv):
		return 0
	case y == 0:
		return x
	case op == UDiv:
		return int64(uint64(x) / uint64(y))
	case op == UMod:
		return int64(uint64(x) % uint64(y))
	case x == math.MinInt64 && y == -1 && op == SDiv:
		return x
	case y == -1 && op == SMod:
		return 0
	case op == SDiv:
		return x / y
	}
	return x % y
}

func foldCompare(op Op, x, y int64) int64 {
	holds := false
	switch op {
	case Equal:
		holds = x == y
	case NotEqual:
		holds = x != y
	case ULess:
		holds = uint64(x) < uint64(y)
	case ULessEqual:
		holds = uint64(x) <= uint64(y)
	case SLess:
		holds = x < y
	case SLessEqual:
		holds = x <= y
	}
	if holds {
		return 1
	}
	return 0
}

func foldUnary(op Op, width int, x int64) int64 {
	shift := 64 - 8*width
	switch op {
	case SignExtend:
		return x << shift >> shift
	case Swap:
		return int64(bits.ReverseBytes64(uint64(x)) >> shift)
	}
	return int64(uint64(x) << shift >> shift)
}

// width64 is how many low bits of a value may be set: the others are known to be 0, and the
// verifier knows that too. It follows neither divisions nor swaps nor shifts by what is no
// constant: a mask or a comparison behind one of these proves a bound to it, and stays.
func width64(v *Value) int { return widthOf(v, 4) }

func widthOf(v *Value, depth int) int {
	if v.Type != Word || depth == 0 {
		return 64
	}
	arg := func(i int) int { return widthOf(v.Args[i], depth-1) }
	switch v.Op {
	case Const:
		return bits.Len64(uint64(v.Imm))
	case Load:
		if !v.Signed {
			return 8 * v.Width
		}
	case ZeroExtend:
		return min(8*v.Width, arg(0))
	case And:
		return min(arg(0), arg(1))
	case Or, Xor:
		return max(arg(0), arg(1))
	case LShr:
		if n := v.Args[1]; n.Op == Const {
			return max(0, arg(0)-int(n.Imm&63))
		}
	case Add:
		return min(64, max(arg(0), arg(1))+1)
	case Shl:
		if n := v.Args[1]; n.Op == Const {
			return min(64, arg(0)+int(n.Imm&63))
		}
	}
	if v.Op.isCompare() {
		return 1
	}
	return 64
}
