// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

func (f *lowering) block(b *syntax.Block) {
	if b == nil {
		return
	}
	for _, s := range b.Stmts {
		if !f.b.Reachable() {
			return
		}
		f.statement(s)
	}
}

func (f *lowering) statement(s syntax.Stmt) {
	f.b.Pos = s.Position()
	frame, temporary := f.frame, f.main.temporary
	defer func() { f.frame, f.main.temporary = frame, temporary }()
	switch s := s.(type) {
	case *syntax.Block:
		f.block(s)
	case *syntax.ExprStmt:
		f.effect(s.X)
	case *syntax.Assign:
		f.assign(s)
	case *syntax.Let:
		f.let(s)
	case *syntax.If:
		f.ifElse(s)
	case *syntax.While:
		f.while(s)
	case *syntax.Unroll:
		f.unroll(s)
	case *syntax.For:
		f.forLoop(s)
	case *syntax.Jump:
		f.jump(s)
	}
}

// effect builds an expression whose value nobody wants.
func (f *lowering) effect(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.Step:
		f.step(x, false)
	case *syntax.Ternary:
		f.ternaryEffect(x)
	default:
		f.eval(x)
	}
}

func (f *lowering) ternaryEffect(x *syntax.Ternary) {
	if x.Then == nil {
		f.eval(x)
		return
	}
	yes, no, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.branch(x.Cond, yes, no)
	f.arm(yes, after, func() { f.effect(x.Then) })
	f.arm(no, after, func() { f.effect(x.Else) })
	f.b.Seal(after)
	f.b.Enter(after)
}

// arm builds what happens in a block that leads to another.
func (f *lowering) arm(block, after *compile.Block, build func()) {
	f.b.Seal(block)
	f.b.Enter(block)
	build()
	f.b.Jump(after)
}

func (f *lowering) assign(s *syntax.Assign) {
	switch target := s.Target.(type) {
	case *syntax.Map:
		f.assignMap(target, s)
	case *syntax.Variable:
		v := f.unit.vars[target]
		if s.Op != syntax.NoOp {
			result := f.operate(s.Op, f.eval(target), f.eval(s.Value), s.Target, s.Value)
			f.write(v, value{typ: v.typ, word: result})
			return
		}
		f.assignVariable(v, s.Value)
	default:
		f.eval(s.Value)
	}
}

func (f *lowering) assignVariable(v *variable, x syntax.Expr) {
	if v.typ.isWord() {
		f.write(v, f.eval(x))
		return
	}
	reads := false
	syntaxWalk(x, func(n syntax.Node) { reads = reads || f.unit.vars[n] == v })
	if !reads {
		f.into(f.placeOf(v), v.typ, x)
		return
	}
	// The value depends on the variable: it is complete before it is stored.
	f.write(v, f.eval(x))
}

// write gives a variable a value.
func (f *lowering) write(v *variable, x value) {
	if w, ok := f.words[v]; ok {
		word := f.asWord(x)
		if word.Type != compile.Word {
			word = f.number(x)
		}
		f.b.Write(w, f.cut(v, word))
		return
	}
	if to := f.placeOf(v); x.at != to { // $s = $s
		f.put(to, v.typ, x)
	}
}

// cut makes a word fit a variable that was declared with a smaller type.
func (f *lowering) cut(v *variable, w *compile.Value) *compile.Value {
	if !v.declared || v.typ.Kind != Integer || v.typ.Size >= word || v.typ.Size == 0 {
		return w
	}
	return f.b.Extend(w, v.typ.Size, v.typ.Signed)
}

func (f *lowering) placeOf(v *variable) place {
	if f.scratch == nil {
		return place{base: f.b.Slot(word)} // in the first of two passes only
	}
	return place{base: f.scratch, offset: int64(f.main.places[v]), loose: v.loose}
}

func (f *lowering) let(s *syntax.Let) {
	v := f.unit.vars[s]
	if s.Value != nil {
		f.assignVariable(v, s.Value)
		return
	}
	if w, ok := f.words[v]; ok {
		f.b.Write(w, f.constant(0))
		return
	}
	at := f.placeOf(v)
	f.clear(at, v.typ.stored())
}

func (f *lowering) ifElse(s *syntax.If) {
	yes, no, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.branch(s.Cond, yes, no)
	f.arm(yes, after, func() { f.block(s.Then) })
	f.arm(no, after, func() { f.block(s.Else) })
	f.b.Seal(after)
	f.b.Enter(after)
}

// while builds a loop with an edge back, which the verifier follows until it ends.
func (f *lowering) while(s *syntax.While) {
	head, body, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.b.Jump(head)
	f.b.Enter(head)
	f.branch(s.Cond, body, after)
	f.b.Seal(body)
	f.b.Enter(body)
	f.within(&loopTargets{next: head, after: after}, s.Body)
	f.b.Jump(head)
	f.b.Seal(head)
	f.b.Seal(after)
	f.b.Enter(after)
}

// within builds the body of a loop.
func (f *lowering) within(targets *loopTargets, body *syntax.Block) {
	outer := f.loop
	f.loop = targets
	f.block(body)
	f.loop = outer
}

func (f *lowering) unroll(s *syntax.Unroll) {
	n, _ := constantOf(s.Count)
	after := f.b.NewBlock()
	for range n {
		next := f.b.NewBlock()
		f.within(&loopTargets{next: next, after: after}, s.Body)
		f.b.Jump(next)
		f.b.Seal(next)
		f.b.Enter(next)
	}
	f.b.Jump(after)
	f.b.Seal(after)
	f.b.Enter(after)
}

func (f *lowering) jump(s *syntax.Jump) {
	switch s.Kind {
	case syntax.Break:
		f.leaveLoop(true)
	case syntax.Continue:
		f.leaveLoop(false)
	case syntax.Return:
		f.returns(s)
	}
}

func (f *lowering) leaveLoop(stop bool) {
	switch {
	case f.loop == nil && f.callback != nil && stop:
		f.endCallback(1)
	case f.loop == nil && f.callback != nil:
		f.endCallback(0)
	case stop:
		f.b.Jump(f.loop.after)
	default:
		f.b.Jump(f.loop.next)
	}
}

func (f *lowering) returns(s *syntax.Jump) {
	result := f.constant(0)
	if s.Value != nil {
		v := f.eval(s.Value)
		if f.unit.fn != nil {
			result = f.number(v)
		}
	}
	if f.callback != nil {
		f.returnFromCallback(result)
		return
	}
	f.b.Return(result)
}
