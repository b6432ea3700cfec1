// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// eval builds an expression.
func (f *lowering) eval(x syntax.Expr) value {
	defer f.at(x)()
	return f.evalPart(x)
}

func (f *lowering) evalPart(x syntax.Expr) value {
	t := f.typeOf(x)
	switch x := x.(type) {
	case *syntax.Integer:
		return value{typ: t, word: f.constant(int64(x.Value))}
	case *syntax.Positional:
		return value{typ: int64Type, word: f.constant(int64(x.Value))}
	case *syntax.String:
		return f.inPlace(x, stringType(len(x.Value)+1))
	case *syntax.Name:
		return f.name(x)
	case *syntax.Variable:
		return f.variable(x)
	case *syntax.Map:
		return f.readMap(x)
	case *syntax.Tuple, *syntax.Record:
		return f.inPlace(x, t)
	case *syntax.Call:
		return f.call(x)
	case *syntax.Field:
		return f.field(x)
	case *syntax.TupleIndex:
		base := f.eval(x.Base)
		field := base.typ.Fields[x.Index]
		return f.part(base.at.plus(field.Offset), field.Type)
	case *syntax.Index:
		return f.index(x)
	}
	return f.evalOperation(x, t)
}

func (f *lowering) evalOperation(x syntax.Expr, t Type) value {
	switch x := x.(type) {
	case *syntax.Unary:
		return f.unary(x, t)
	case *syntax.Step:
		return f.step(x, true)
	case *syntax.Binary:
		return f.binary(x, t)
	case *syntax.Ternary:
		return f.ternary(x, t)
	case *syntax.Cast:
		return f.cast(x, t)
	case *syntax.Sizeof, *syntax.Offsetof:
		return value{typ: uint64Type, word: f.constant(f.unit.constants[x])}
	case *syntax.BlockExpr:
		for _, s := range x.Stmts {
			if f.b.Reachable() {
				f.statement(s)
			}
		}
		return f.eval(x.Value)
	}
	return value{typ: t, word: f.constant(0)}
}

// inPlace builds an expression into memory of its own.
func (f *lowering) inPlace(x syntax.Expr, t Type) value {
	p := f.memory(t.stored())
	f.into(p, t, x)
	return value{typ: t, at: p}
}

// into builds an expression where it is to be, as a value of the type it has there, without
// a copy if possible.
func (f *lowering) into(to place, t Type, x syntax.Expr) {
	defer f.at(x)()
	switch x := x.(type) {
	case *syntax.String:
		text, _, _ := strings.Cut(x.Value, "\x00") // what is behind is no part of a string
		f.putText(to, t.stored(), text)
		return
	case *syntax.Tuple:
		if t.Kind == Tuple && len(t.Fields) == len(x.Elems) {
			for i, elem := range x.Elems {
				f.into(to.plus(t.Fields[i].Offset), t.Fields[i].Type, elem)
			}
			return
		}
	case *syntax.Record:
		for i, field := range x.Fields {
			f.into(to.plus(t.Fields[i].Offset), t.Fields[i].Type, field.Value)
		}
		return
	case *syntax.Name:
		if x.Name == "comm" && t.Kind == String && t.Size >= 16 {
			f.commInto(to, t)
			return
		}
	case *syntax.Call:
		if f.callInto(to, t, x) {
			return
		}
	}
	f.put(to, t, f.eval(x))
}

// callInto builds a function whose result is memory where it is to be.
func (f *lowering) callInto(to place, t Type, x *syntax.Call) bool {
	if f.subprograms[x.Name] != nil {
		return false
	}
	if s, ok := literalText(x); ok && t.Kind == String {
		f.putText(to, t.stored(), s)
		return true
	}
	switch {
	case (x.Name == "str" || x.Name == "kstr" || x.Name == "ustr") && t.Kind == String:
		return f.strInto(to, t, x)
	case x.Name == "buf" && t.Kind == Buffer:
		f.bufInto(to, t, x)
		return true
	}
	return false
}

// putText stores a literal, and zeros behind it.
func (f *lowering) putText(to place, room int, text string) {
	if len(text) >= room {
		text = text[:max(0, room-1)]
	}
	if to.loose {
		room = min(room, align(len(text)+1))
	}
	at := 0
	for ; at+word <= room && at < len(text); at += word {
		f.b.Store(to.base, to.offset+int64(at), word, f.constant(littleEndian(text[at:])))
	}
	if at < room {
		f.clear(to.plus(at), room-at)
	}
}

// littleEndian is a word of up to 8 bytes of a text. Both machines that the agent runs on
// have that order.
func littleEndian(text string) int64 {
	var n uint64
	for i := 0; i < word && i < len(text); i++ {
		n |= uint64(text[i]) << (8 * i)
	}
	return int64(n)
}

func (f *lowering) variable(x *syntax.Variable) value {
	v := f.unit.vars[x]
	if w, ok := f.words[v]; ok {
		return value{typ: v.typ, word: f.b.Read(w)}
	}
	return value{typ: v.typ, at: f.placeOf(v)}
}

func (f *lowering) unary(x *syntax.Unary, t Type) value {
	if x.Op == syntax.Deref {
		base := f.eval(x.X)
		return f.load(f.target(base), t)
	}
	n := f.number(f.eval(x.X))
	switch x.Op {
	case syntax.Not:
		n = f.b.Binary(compile.Equal, n, f.constant(0))
	case syntax.Minus:
		n = f.b.Binary(compile.Sub, f.constant(0), n)
	case syntax.Complement:
		n = f.b.Binary(compile.Xor, n, f.constant(-1))
	}
	return value{typ: t, word: n}
}

func (f *lowering) ternary(x *syntax.Ternary, t Type) value {
	if x.Then == nil {
		return f.valueOrElse(x, t)
	}
	var p place
	if t.Kind != None && !t.isWord() {
		p = f.memory(t.stored()) // here, where it is made on every way to both arms
	}
	yes, no, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.branch(x.Cond, yes, no)
	if t.Kind == None {
		f.arm(yes, after, func() { f.effect(x.Then) })
		f.arm(no, after, func() { f.effect(x.Else) })
		f.b.Seal(after)
		f.b.Enter(after)
		return value{word: f.constant(0)}
	}
	if t.isWord() {
		v := f.b.NewVariable(compile.Word)
		f.arm(yes, after, func() { f.b.Write(v, f.number(f.eval(x.Then))) })
		f.arm(no, after, func() { f.b.Write(v, f.number(f.eval(x.Else))) })
		f.b.Seal(after)
		f.b.Enter(after)
		return value{typ: t, word: f.b.Read(v)}
	}
	f.arm(yes, after, func() { f.into(p, t, x.Then) })
	f.arm(no, after, func() { f.into(p, t, x.Else) })
	f.b.Seal(after)
	f.b.Enter(after)
	return value{typ: t, at: p}
}

// valueOrElse builds x ?: y, where x is built once.
func (f *lowering) valueOrElse(x *syntax.Ternary, t Type) value {
	v := f.b.NewVariable(compile.Word)
	first := f.number(f.eval(x.Cond))
	f.b.Write(v, first)
	f.b.If(first, func() {}, func() { f.b.Write(v, f.number(f.eval(x.Else))) })
	return value{typ: t, word: f.b.Read(v)}
}

func (f *lowering) cast(x *syntax.Cast, t Type) value {
	v := f.eval(x.X)
	switch {
	case t.Kind == ArrayOf && v.word != nil:
		return value{typ: t, at: f.inMemory(value{typ: uint64Type, word: f.number(v)})}
	case t.Kind == Integer && v.word == nil:
		return value{typ: t, word: f.extend(f.firstBytes(v), t)}
	case t.Kind == Integer && t.Size < word:
		return value{typ: t, word: f.extend(f.number(v), t)}
	case t.Kind == Record && v.word != nil:
		return f.load(f.target(value{typ: pointerTo(t), word: v.word}), t)
	}
	v.typ = t
	return v
}

func (f *lowering) extend(w *compile.Value, t Type) *compile.Value {
	if t.Size >= word || t.Size == 0 {
		return w
	}
	return f.b.Extend(w, t.Size, t.Signed)
}

// branch goes one way or the other by a condition, without making a number of it.
func (f *lowering) branch(x syntax.Expr, yes, no *compile.Block) {
	switch x := x.(type) {
	case *syntax.Unary:
		if x.Op == syntax.Not {
			f.branch(x.X, no, yes)
			return
		}
	case *syntax.Binary:
		if x.Op == syntax.LogicalAnd || x.Op == syntax.LogicalOr {
			f.branchBoth(x, yes, no)
			return
		}
	}
	v := f.eval(x)
	if v.word != nil && v.word.Type == compile.Word {
		f.b.Branch(v.word, yes, no)
		return
	}
	if v.word != nil {
		f.b.Branch(f.b.Binary(compile.NotEqual, v.word, f.constant(0)), yes, no)
		return
	}
	f.b.Branch(f.number(v), yes, no)
}

func (f *lowering) branchBoth(x *syntax.Binary, yes, no *compile.Block) {
	second := f.b.NewBlock()
	if x.Op == syntax.LogicalAnd {
		f.branch(x.Left, second, no)
	} else {
		f.branch(x.Left, yes, second)
	}
	f.b.Seal(second)
	f.b.Enter(second)
	f.branch(x.Right, yes, no)
}

// truth is 1 or 0 by a condition.
func (f *lowering) truth(x syntax.Expr) *compile.Value {
	yes, no, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	v := f.b.NewVariable(compile.Word)
	f.branch(x, yes, no)
	f.arm(yes, after, func() { f.b.Write(v, f.constant(1)) })
	f.arm(no, after, func() { f.b.Write(v, f.constant(0)) })
	f.b.Seal(after)
	f.b.Enter(after)
	return f.b.Read(v)
}
