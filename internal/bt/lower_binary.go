// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

func (f *lowering) binary(x *syntax.Binary, t Type) value {
	if x.Op == syntax.LogicalAnd || x.Op == syntax.LogicalOr {
		return value{typ: t, word: f.truth(x)}
	}
	if x.Op == syntax.Equal || x.Op == syntax.NotEqual {
		if of, cgroups, ok := f.namedPlace(x); ok {
			return value{typ: t, word: f.isNamed(x.Op, of, cgroups)}
		}
		if left := f.typeOf(x.Left); !left.isWord() && !left.isAggregate() {
			return value{typ: t, word: f.compare(x)}
		}
	}
	return value{typ: t, word: f.operate(x.Op, f.eval(x.Left), f.eval(x.Right), x.Left, x.Right)}
}

// operate is arithmetic or a comparison of two words.
func (f *lowering) operate(op syntax.Op, left, right value, x, y syntax.Expr) *compile.Value {
	if op == syntax.Equal || op == syntax.NotEqual {
		return f.equal(op, left, right)
	}
	l, r := f.number(left), f.number(right)
	if op == syntax.Add || op == syntax.Subtract {
		l, r = f.scale(left, right, l, r, op)
	}
	c := checker{script: f.script, unit: f.unit}
	signed := bothSigned(c.signedness(left.typ, right.typ, x, y))
	if op == syntax.ShiftRight {
		signed = left.typ.Signed && left.typ.Kind == Integer
	}
	if op == syntax.Greater || op == syntax.GreaterEqual {
		l, r = r, l
	}
	return f.b.Binary(operation(op, signed), l, r)
}

// equal compares two words, of which one may be a pointer that the verifier knows.
func (f *lowering) equal(op syntax.Op, left, right value) *compile.Value {
	l, r := left.word, right.word
	isNull := func(v *compile.Value) bool { return v != nil && v.Op == compile.Const && v.Imm == 0 }
	if l == nil || r == nil || l.Type != compile.Word && !isNull(r) || r.Type != compile.Word && !isNull(l) {
		l, r = f.number(left), f.number(right)
	}
	return f.b.Binary(operation(op, false), l, r)
}

// scale counts what is added to a pointer in elements, as C does.
func (f *lowering) scale(left, right value, l, r *compile.Value, op syntax.Op) (*compile.Value, *compile.Value) {
	size := func(t Type) int64 {
		if t.Elem == nil || t.Elem.Size == 0 {
			return 1
		}
		return int64(t.Elem.Size)
	}
	switch {
	case left.typ.Kind == Pointer && right.typ.Kind == Integer:
		return l, f.times(r, size(left.typ))
	case right.typ.Kind == Pointer && left.typ.Kind == Integer && op == syntax.Add:
		return f.times(l, size(right.typ)), r
	}
	return l, r
}

func (f *lowering) times(w *compile.Value, n int64) *compile.Value {
	if n == 1 {
		return w
	}
	if w.Op == compile.Const {
		return f.constant(w.Imm * n)
	}
	return f.b.Binary(compile.Mul, w, f.constant(n))
}

// operation is the operator of the representation; that of > and >= has its operands
// exchanged.
func operation(op syntax.Op, signed bool) compile.Op {
	table := map[syntax.Op][2]compile.Op{
		syntax.Add: {compile.Add, compile.Add}, syntax.Subtract: {compile.Sub, compile.Sub},
		syntax.Multiply: {compile.Mul, compile.Mul}, syntax.Divide: {compile.UDiv, compile.SDiv},
		syntax.Modulo: {compile.UMod, compile.SMod}, syntax.BitAnd: {compile.And, compile.And},
		syntax.BitOr: {compile.Or, compile.Or}, syntax.BitXor: {compile.Xor, compile.Xor},
		syntax.ShiftLeft: {compile.Shl, compile.Shl}, syntax.ShiftRight: {compile.LShr, compile.AShr},
		syntax.Equal: {compile.Equal, compile.Equal}, syntax.NotEqual: {compile.NotEqual, compile.NotEqual},
		syntax.Less: {compile.ULess, compile.SLess}, syntax.Greater: {compile.ULess, compile.SLess},
		syntax.LessEqual: {compile.ULessEqual, compile.SLessEqual}, syntax.GreaterEqual: {compile.ULessEqual, compile.SLessEqual},
	}
	if signed {
		return table[op][1]
	}
	return table[op][0]
}

// compare is == or != of what is in memory: texts up to their end, anything else whole.
func (f *lowering) compare(x *syntax.Binary) *compile.Value {
	left, right := f.evalText(x.Left), f.evalText(x.Right)
	if s, ok := literalText(x.Right); ok && left.typ.Kind == String {
		return f.isText(x.Op, left, s)
	}
	if s, ok := literalText(x.Left); ok && right.typ.Kind == String {
		return f.isText(x.Op, right, s)
	}
	a, b := f.inMemory(left), f.inMemory(right)
	if left.typ.Kind == String {
		return f.compareTexts(x.Op, a, b, left.typ, right.typ)
	}
	differ := f.b.NewBlock()
	f.differWhere(a, b, min(left.typ.Size, right.typ.Size), differ)
	return f.verdict(x.Op == syntax.Equal, differ)
}

// differWhere leads to a block if two places differ in so many bytes.
func (f *lowering) differWhere(a, b place, size int, differ *compile.Block) {
	for at := 0; at < size; {
		width := widest(size - at)
		l, r := f.b.Load(a.base, a.offset+int64(at), width, false), f.b.Load(b.base, b.offset+int64(at), width, false)
		f.unless(f.b.Binary(compile.Equal, l, r), differ)
		at += width
	}
}

func widest(rest int) int {
	width := word
	for width > rest {
		width /= 2
	}
	return width
}

// unless leads to a block where a condition does not hold, and goes on where it does.
func (f *lowering) unless(condition *compile.Value, other *compile.Block) {
	on := f.b.NewBlock()
	f.b.Branch(condition, on, other)
	f.b.Seal(on)
	f.b.Enter(on)
}

// verdict is 1 or 0: equal here, and otherwise where the other block is.
func (f *lowering) verdict(equal bool, differ *compile.Block) *compile.Value {
	here, there := int64(0), int64(1)
	if equal {
		here, there = 1, 0
	}
	v, after := f.b.NewVariable(compile.Word), f.b.NewBlock()
	f.b.Write(v, f.constant(here))
	f.b.Jump(after)
	f.b.Seal(differ)
	f.b.Enter(differ)
	f.b.Write(v, f.constant(there))
	f.b.Jump(after)
	f.b.Seal(after)
	f.b.Enter(after)
	return f.b.Read(v)
}

// isText compares a text with a literal: its bytes and the 0 behind them, word by word.
func (f *lowering) isText(op syntax.Op, v value, text string) *compile.Value {
	if len(text)+1 > v.typ.Size {
		return f.constant(boolWord(op == syntax.NotEqual))
	}
	return f.samePrefix(op == syntax.Equal, f.inMemory(v), text+"\x00")
}

func (f *lowering) samePrefix(equal bool, p place, text string) *compile.Value {
	differ := f.b.NewBlock()
	for at := 0; at < len(text); {
		width := widest(len(text) - at)
		want := littleEndian(text[at : at+width])
		f.unless(f.b.Binary(compile.Equal, f.b.Load(p.base, p.offset+int64(at), width, false), f.constant(want)), differ)
		at += width
	}
	return f.verdict(equal, differ)
}

func boolWord(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// compareTexts compares two texts byte by byte up to the end of one.
func (f *lowering) compareTexts(op syntax.Op, a, b place, ta, tb Type) *compile.Value {
	size := min(ta.Size, tb.Size)
	return f.b.Binary(compile.Equal, f.textsDiffer(a, b, size), f.constant(boolWord(op == syntax.NotEqual)))
}

// textsDiffer is 1 if two texts differ within so many bytes; the loop ends at a 0 in both.
func (f *lowering) textsDiffer(a, b place, size int) *compile.Value {
	i, result := f.b.NewVariable(compile.Word), f.b.NewVariable(compile.Word)
	pa, pb := f.pointer(a), f.pointer(b)
	head, body, next, differ, same, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.b.Write(i, f.constant(0))
	f.b.Jump(head)
	f.b.Enter(head)
	f.b.Branch(f.b.Binary(compile.ULess, f.b.Read(i), f.constant(int64(size))), body, same)
	f.b.Seal(body)
	f.b.Enter(body)
	x := f.b.Load(f.b.Binary(compile.Add, pa, f.b.Read(i)), 0, 1, false)
	y := f.b.Load(f.b.Binary(compile.Add, pb, f.b.Read(i)), 0, 1, false)
	f.unless(f.b.Binary(compile.Equal, x, y), differ)
	f.b.Branch(x, next, same)
	f.b.Seal(next)
	f.b.Enter(next)
	f.b.Write(i, f.b.Binary(compile.Add, f.b.Read(i), f.constant(1)))
	f.b.Jump(head)
	f.b.Seal(head)
	f.b.Seal(differ)
	f.b.Seal(same)
	f.b.Enter(differ)
	f.b.Write(result, f.constant(1))
	f.b.Jump(after)
	f.b.Enter(same)
	f.b.Write(result, f.constant(0))
	f.b.Jump(after)
	f.b.Seal(after)
	f.b.Enter(after)
	return f.b.Read(result)
}
