// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"strconv"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (c *checker) binary(x *syntax.Binary) Type {
	left, right := c.value(x.Left), c.value(x.Right)
	if left.Kind == None || right.Kind == None {
		return noType
	}
	if left.Kind == ProbeName && right.Kind == String || left.Kind == String && right.Kind == ProbeName {
		left, right = c.asText(x.Left, left), c.asText(x.Right, right)
	}
	if t, ok := c.comparesName(x, left, right); ok {
		return t
	}
	return c.operate(x.Op, x.Pos, left, right, x.Left, x.Right)
}

// operate is the type of an operation on two known types.
func (c *checker) operate(op syntax.Op, at compile.Pos, left, right Type, x, y syntax.Expr) Type {
	if op == syntax.Equal || op == syntax.NotEqual {
		return c.equality(at, left, right)
	}
	for _, t := range []Type{left, right} {
		if !t.isNumber() {
			return c.errorf(at, "%s works on integers, not on %s", operatorText(op), t)
		}
	}
	if op == syntax.Divide || op == syntax.Modulo {
		if n, ok := c.constant(y); ok && n == 0 {
			return c.errorf(at, "division by zero")
		}
	}
	if isComparison(op) || op == syntax.LogicalAnd || op == syntax.LogicalOr {
		return int64Type
	}
	return c.arithmetic(op, at, left, right, x, y)
}

// arithmetic is done with 64 bits. The result is signed if both are; a literal takes the
// signedness of the other, and a shift has that of what is shifted.
func (c *checker) arithmetic(op syntax.Op, at compile.Pos, left, right Type, x, y syntax.Expr) Type {
	if left.Kind == Pointer || right.Kind == Pointer {
		return c.pointerArithmetic(op, at, left, right)
	}
	signed := bothSigned(c.signedness(left, right, x, y))
	if op == syntax.ShiftLeft || op == syntax.ShiftRight {
		signed = left.Signed
	}
	return Type{Kind: Integer, Size: word, Signed: signed}
}

func bothSigned(a, b bool) bool { return a && b }

// signedness of two operands, after literals took that of the other.
func (c *checker) signedness(left, right Type, x, y syntax.Expr) (bool, bool) {
	l, r := left.Signed && left.Kind == Integer, right.Signed && right.Kind == Integer
	if n, ok := c.constant(x); ok && n >= 0 && l != r {
		l = r
	}
	if n, ok := c.constant(y); ok && n >= 0 && l != r {
		r = l
	}
	// Bytes, shorts and words of 32 bits fit in a signed word of 64.
	if l != r {
		if !l && left.Size < word {
			l = true
		}
		if !r && right.Size < word {
			r = true
		}
	}
	return l, r
}

func (c *checker) pointerArithmetic(op syntax.Op, at compile.Pos, left, right Type) Type {
	switch {
	case op == syntax.Add && left.Kind == Pointer && right.Kind == Integer:
		return left
	case op == syntax.Add && right.Kind == Pointer && left.Kind == Integer:
		return right
	case op == syntax.Subtract && left.Kind == Pointer && right.Kind == Integer:
		return left
	}
	return uint64Type
}

func (c *checker) equality(at compile.Pos, left, right Type) Type {
	if !same(left, right) {
		return c.errorf(at, "%s and %s cannot be compared", left, right)
	}
	switch left.Kind {
	case Integer, Pointer, String, ArrayOf, Tuple, ProbeName, UserName, KSymbol, CgroupPath, KStack, InetAddress, MACAddress, USymbol, Buffer, ExecID:
		return int64Type
	}
	return c.errorf(at, "values of type %s cannot be compared", left)
}

func isComparison(op syntax.Op) bool { return op >= syntax.Equal && op <= syntax.GreaterEqual }

func operatorText(op syntax.Op) string {
	texts := map[syntax.Op]string{
		syntax.LogicalOr: "||", syntax.LogicalAnd: "&&", syntax.BitOr: "|", syntax.BitXor: "^", syntax.BitAnd: "&",
		syntax.Equal: "==", syntax.NotEqual: "!=", syntax.Less: "<", syntax.LessEqual: "<=", syntax.Greater: ">",
		syntax.GreaterEqual: ">=", syntax.ShiftLeft: "<<", syntax.ShiftRight: ">>", syntax.Add: "+",
		syntax.Subtract: "-", syntax.Multiply: "*", syntax.Divide: "/", syntax.Modulo: "%",
	}
	return texts[op]
}

// constant is the value of an expression that the text alone gives.
func (c *checker) constant(x syntax.Expr) (int64, bool) { return constantOf(x) }

func constantOf(x syntax.Expr) (int64, bool) {
	switch x := x.(type) {
	case *syntax.Integer:
		return int64(x.Value), true
	case *syntax.Positional:
		return int64(x.Value), x.Numeric || !x.Given
	case *syntax.Unary:
		n, ok := constantOf(x.X)
		switch {
		case ok && x.Op == syntax.Minus:
			return -n, true
		case ok && x.Op == syntax.Complement:
			return ^n, true
		}
	case *syntax.Binary:
		return constantBinary(x)
	}
	return 0, false
}

func constantBinary(x *syntax.Binary) (int64, bool) {
	l, ok := constantOf(x.Left)
	r, also := constantOf(x.Right)
	if !ok || !also {
		return 0, false
	}
	switch x.Op {
	case syntax.Add:
		return l + r, true
	case syntax.Subtract:
		return l - r, true
	case syntax.Multiply:
		return l * r, true
	case syntax.ShiftLeft:
		return l << (uint64(r) & 63), true
	case syntax.Divide:
		if r > 0 && l >= 0 {
			return l / r, true
		}
	}
	return 0, false
}
