// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"math"
	"math/bits"
)

// algebra gives a value that is equal to v and cheaper, or v, which it may have changed.
// Operands are simplified already. New values go before v, by e.
//
// It never moves a comparison to another register than its operand's: the verifier would
// then know less of that.
func algebra(v *Value, e *expander) *Value {
	switch {
	case v.Op.isBinary():
		return binaryAlgebra(v, e)
	case v.Op.isCompare():
		return compareAlgebra(v, e)
	case v.Op.isUnary():
		return unaryAlgebra(v, e)
	case v.Op.isMemory():
		foldAddress(v)
		if v.Op == Store && v.Width < 8 {
			v.Args[1] = lowBytes(v.Args[1], v.Width)
		}
	}
	return v
}

// lowBytes is a value that has the same lowest bytes, without what only changes the others.
func lowBytes(v *Value, width int) *Value {
	for {
		switch {
		case (v.Op == ZeroExtend || v.Op == SignExtend) && v.Width >= width:
		case v.Op == And && v.Args[1].Op == Const && ^v.Args[1].Imm<<(64-8*width) == 0:
		default:
			return v
		}
		v = v.Args[0]
	}
}

// foldAddress takes the additions of constants to an address into the offset.
func foldAddress(v *Value) {
	for p := v.Args[0]; p.Op == Add && p.Args[1].Op == Const; p = p.Args[0] {
		off := v.Imm + p.Args[1].Imm
		if off < math.MinInt16 || off+int64(v.Width) > math.MaxInt16 {
			return
		}
		v.Args[0], v.Imm = p.Args[0], off
	}
}

func binaryAlgebra(v *Value, e *expander) *Value {
	if v.Op.isCommutative() && v.Args[0].Op == Const && !v.Args[1].Type.IsPointer() {
		v.Args[0], v.Args[1] = v.Args[1], v.Args[0]
	}
	x, y := v.Args[0], v.Args[1]
	switch {
	case x.Op == Const && y.Op == Const && v.Type == Word:
		return e.word(foldBinary(v.Op, x.Imm, y.Imm))
	case y.Op == Const:
		return constantRight(v, x, y.Imm, e)
	case x == y:
		return sameOperands(v, x, e)
	case x.Op == Const && x.Imm == 0 && v.Op >= Mul && v.Op != Or && v.Op != Xor:
		return x // 0 times, by, modulo, and, shifted is 0
	}
	return v
}

func sameOperands(v, x *Value, e *expander) *Value {
	switch v.Op {
	case Sub, Xor:
		return e.word(0)
	case And, Or:
		return x
	}
	return v
}

// constantRight simplifies an operation of x and a constant.
func constantRight(v, x *Value, n int64, e *expander) *Value {
	switch v.Op {
	case Shl, LShr, AShr:
		n &= 63
	}
	if neutral(v.Op, n) {
		return x
	}
	switch {
	case n == 0 && (v.Op == Mul || v.Op == And || v.Op == UDiv || v.Op == SDiv), n == 1 && (v.Op == UMod || v.Op == SMod):
		return e.word(0)
	case v.Op == Or && n == -1:
		return e.word(-1)
	case v.Op == Sub:
		return rewrite(v, Add, x, e.word(-n), e)
	case v.Op == Mul && n == -1:
		return rewrite(v, Sub, e.word(0), x, e)
	case powerOfTwo(n) && v.Op == Mul:
		return rewrite(v, Shl, x, e.word(log2(n)), e)
	case powerOfTwo(n) && v.Op == UDiv:
		return rewrite(v, LShr, x, e.word(log2(n)), e)
	case powerOfTwo(n) && v.Op == UMod:
		return rewrite(v, And, x, e.word(n-1), e)
	case v.Op == And:
		return mask(v, x, n, e)
	case (v.Op == Shl || v.Op == LShr) && width64(x) <= int(n) && v.Op == LShr:
		return e.word(0)
	}
	return associate(v, x, n, e)
}

func powerOfTwo(n int64) bool { return n != 0 && n&(n-1) == 0 }
func log2(n int64) int64      { return int64(bits.TrailingZeros64(uint64(n))) }

// neutral tells whether an operation with a constant leaves its operand as it is.
func neutral(op Op, n int64) bool {
	switch op {
	case Add, Sub, Or, Xor, Shl, LShr, AShr, UMod, SMod:
		return n == 0
	case Mul, UDiv, SDiv:
		return n == 1
	case And:
		return n == -1
	}
	return false
}

func rewrite(v *Value, op Op, x, y *Value, e *expander) *Value {
	v.Op, v.Args = op, []*Value{x, y}
	return algebra(v, e)
}

// associate makes one of two operations with constants.
func associate(v, x *Value, n int64, e *expander) *Value {
	if x.Op != v.Op || x.Args[1].Op != Const {
		return v
	}
	m := x.Args[1].Imm
	switch v.Op {
	case Add, Mul, Or, Xor:
		return rewrite(v, v.Op, x.Args[0], e.word(foldBinary(v.Op, m, n)), e)
	case Shl, LShr:
		sum := m&63 + n&63
		if sum > 63 {
			return e.word(0)
		}
		return rewrite(v, v.Op, x.Args[0], e.word(sum), e)
	}
	return v
}

// mask simplifies x & n.
func mask(v, x *Value, n int64, e *expander) *Value {
	switch w := width64(x); {
	case w < 64 && (uint64(1)<<w-1)&^uint64(n) == 0:
		return x // all that may be set stays
	case x.Op == And && x.Args[1].Op == Const:
		return rewrite(v, And, x.Args[0], e.word(n&x.Args[1].Imm), e)
	case n == 1<<32-1:
		v.Op, v.Args, v.Width = ZeroExtend, []*Value{x}, 4
		return algebra(v, e)
	}
	return v
}

func unaryAlgebra(v *Value, e *expander) *Value {
	x := v.Args[0]
	bitsLeft := 8 * v.Width
	switch {
	case x.Op == Const:
		return e.word(foldUnary(v.Op, v.Width, x.Imm))
	case v.Op == Swap && v.Width > 1:
		v.Args[0] = lowBytes(x, v.Width)
		return v
	case v.Width == 8, v.Op == ZeroExtend && width64(x) <= bitsLeft, v.Op == SignExtend && width64(x) < bitsLeft:
		return x
	case v.Op == SignExtend && (x.Op == SignExtend || x.Op == Load && x.Signed) && x.Width <= v.Width:
		return x // the sign is there already
	case lowBytes(x, v.Width) != x:
		v.Args[0] = lowBytes(x, v.Width)
		return algebra(v, e)
	case v.Op == ZeroExtend && v.Width == 4 && x.Op == And && x.Args[1].Op == Const:
		return rewrite(v, And, x.Args[0], e.word(x.Args[1].Imm&(1<<32-1)), e)
	case v.Op != SignExtend && v.Width < 4:
		return rewrite(v, And, x, e.word(1<<bitsLeft-1), e)
	}
	return v
}

func compareAlgebra(v *Value, e *expander) *Value {
	x, y := v.Args[0], v.Args[1]
	if x.Op == Const && y.Op != Const && v.Op.isCommutative() {
		x, y = y, x
		v.Args[0], v.Args[1] = x, y
	}
	switch {
	case x == y:
		return e.word(foldCompare(v.Op, 0, 0))
	case x.Op == Const && y.Op == Const:
		return e.word(foldCompare(v.Op, x.Imm, y.Imm))
	case y.Op == Const && y.Imm == 0 && v.Op.isCommutative() && neverNull(x):
		return e.word(foldCompare(v.Op, 1, 0))
	case x.Type != Word || y.Type != Word:
		return v
	case v.Op == Equal || v.Op == NotEqual:
		return equality(v, x, y, e)
	case v.Op == ULess || v.Op == ULessEqual:
		return unsigned(v, x, y, e)
	}
	return v
}

// neverNull tells whether a pointer is known not to be 0.
func neverNull(p *Value) bool {
	switch p.Type {
	case Context, Stack, MapValue, Memory:
		return p.Op != Const && p.Op != LoadPtr
	}
	return false
}

// equality simplifies x == n and x != n.
func equality(v, x, y *Value, e *expander) *Value {
	if y.Op != Const {
		return v
	}
	n := y.Imm
	switch {
	case x.Op.isCompare() && (n == 0 || n == 1):
		if (v.Op == Equal) == (n == 1) {
			return x
		}
		op, exchange := x.Op.negated()
		v.Op, v.Args = op, []*Value{x.Args[0], x.Args[1]}
		if exchange {
			v.Args[0], v.Args[1] = v.Args[1], v.Args[0]
		}
		return v
	case width64(x) < bits.Len64(uint64(n)):
		return e.word(foldCompare(v.Op, 0, 1))
	}
	return v
}

// unsigned simplifies unsigned order where one side is a constant.
func unsigned(v, x, y *Value, e *expander) *Value {
	less := v.Op == ULess
	limit := func(u *Value) (uint64, bool) { w := width64(u); return uint64(1)<<w - 1, w < 64 }
	switch {
	case y.Op == Const:
		n := uint64(y.Imm)
		if most, ok := limit(x); ok && (most < n || !less && most <= n) {
			return e.word(1)
		}
		switch {
		case less && n == 0:
			return e.word(0)
		case less && n == 1, !less && n == 0:
			return rewrite(v, Equal, x, e.word(0), e)
		case !less && n == ^uint64(0):
			return e.word(1)
		}
	case x.Op == Const:
		n := uint64(x.Imm)
		if most, ok := limit(y); ok && (most < n || less && most <= n) {
			return e.word(0)
		}
		switch {
		case !less && n == 0:
			return e.word(1)
		case less && n == 0, !less && n == 1:
			return rewrite(v, NotEqual, y, e.word(0), e)
		}
	}
	return v
}
