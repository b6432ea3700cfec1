// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"fmt"
	"strings"

	"github.com/skep-io/skep/internal/bt/syntax"
)

func (c *checker) block(b *syntax.Block) {
	if b == nil {
		return
	}
	c.scope = &scope{outer: c.scope, names: map[string]*variable{}}
	for _, s := range b.Stmts {
		c.statement(s)
	}
	c.scope = c.scope.outer
}

func (c *checker) statement(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.Block:
		c.block(s)
	case *syntax.ExprStmt:
		c.effect(s.X)
	case *syntax.Assign:
		c.assign(s)
	case *syntax.Let:
		c.let(s)
	case *syntax.If:
		c.condition(s.Cond)
		c.block(s.Then)
		c.block(s.Else)
	case *syntax.While:
		c.condition(s.Cond)
		c.loop(s.Body)
	case *syntax.Unroll:
		c.unroll(s)
	case *syntax.For:
		c.forLoop(s)
	case *syntax.Jump:
		c.jump(s)
	}
}

// effect checks an expression whose value nobody wants.
func (c *checker) effect(x syntax.Expr) {
	t := c.expr(x)
	if t.isAggregate() {
		if call, ok := x.(*syntax.Call); ok {
			c.errorf(call.Pos, "%s() must be assigned to a map: @ = %s(...)", call.Name, call.Name)
		}
	}
}

func (c *checker) loop(body *syntax.Block) {
	c.loops++
	c.block(body)
	c.loops--
}

// Bounds of unroll: of one, and of those inside of each other together.
const (
	mostUnrolled = 100
	mostCopies   = 2000
)

func (c *checker) unroll(s *syntax.Unroll) {
	c.value(s.Count)
	n, ok := c.constant(s.Count)
	switch {
	case !ok:
		c.errorf(s.Count.Position(), "unroll wants a constant: it repeats the text")
	case n < 1 || n > mostUnrolled:
		reference := "unroll maximum value is " + itoa(mostUnrolled)
		if n < 1 {
			reference = "unroll minimum value is 1"
		}
		c.problem(Diagnostic{Pos: s.Pos, Text: fmt.Sprintf("unroll repeats 1 to %d times, not %d", mostUnrolled, n), Reference: reference})
	}
	outer := c.copies
	if c.copies *= max(1, min(n, mostUnrolled)); c.copies > mostCopies {
		c.errorf(s.Pos, "unroll inside of unroll makes %d copies; at most %d are possible", c.copies, mostCopies)
	}
	c.loop(s.Body)
	c.copies = outer
}

func (c *checker) jump(s *syntax.Jump) {
	switch s.Kind {
	case syntax.Return:
		c.returns(s)
	case syntax.Break, syntax.Continue:
		if c.loops == 0 {
			c.errorf(s.Pos, "break and continue work only inside a loop")
		}
	}
}

func (c *checker) returns(s *syntax.Jump) {
	fn := c.unit.fn
	if fn == nil {
		if s.Value != nil {
			c.number(s.Value)
		}
		return
	}
	switch {
	case fn.result.Kind == None && s.Value != nil:
		c.errorf(s.Pos, "function %s returns nothing", fn.decl.Name)
	case fn.result.Kind != None && s.Value == nil:
		c.errorf(s.Pos, "function %s returns %s: a value is missing", fn.decl.Name, fn.result)
	case s.Value != nil:
		if t := c.value(s.Value); t.Kind != None && !same(t, fn.result) {
			c.errorf(s.Pos, "function %s returns %s, not %s", fn.decl.Name, fn.result, t)
		}
	}
}

// assign checks target = value and target op= value.
func (c *checker) assign(s *syntax.Assign) {
	if name, ok := s.Target.(*syntax.Name); ok {
		c.value(s.Value)
		if name.Name != "_" {
			c.errorf(name.Pos, "%s cannot be assigned to: only variables ($x) and maps (@x) can", name.Name)
		}
		return
	}
	value := c.assigned(s)
	switch target := s.Target.(type) {
	case *syntax.Map:
		c.assignMap(target, s, value)
	case *syntax.Variable:
		c.assignVariable(target, s, value)
	default:
		c.expr(s.Target)
		c.errorf(s.Target.Position(), "this cannot be assigned to: only variables ($x) and maps (@x) can")
	}
}

// assigned is the type of what an assignment stores.
func (c *checker) assigned(s *syntax.Assign) Type {
	var t Type
	if _, isMap := s.Target.(*syntax.Map); isMap && s.Op == syntax.NoOp {
		t = c.expr(s.Value)
	} else {
		t = c.value(s.Value)
	}
	if s.Op == syntax.NoOp || t.Kind == None {
		return t
	}
	left := c.value(s.Target)
	if left.Kind == None {
		return t
	}
	return c.operate(s.Op, s.Pos, left, t, s.Target, s.Value)
}

func (c *checker) assignMap(m *syntax.Map, s *syntax.Assign, value Type) {
	info := c.mapOf(m)
	if value.Kind == None {
		if call, ok := s.Value.(*syntax.Call); ok && c.final && len(c.problems) == 0 {
			c.errorf(call.Pos, "%s() has no value to assign", call.Name)
		}
		return
	}
	if value.isAggregate() {
		if from, ok := s.Value.(*syntax.Map); ok {
			if !value.isCastable() {
				c.errorf(s.Pos, "a %s cannot be copied from %s to another map", value, from.Name)
				return
			}
			value = value.read()
		}
	}
	if info.value.isAggregate() && !value.isAggregate() {
		c.errorf(s.Pos, "%s holds %s since line %d: it cannot hold %s too", m.Name, info.value, info.valuePos.Line, value)
		return
	}
	c.learnValue(info, value, s)
}

// learnValue gives a map's values a type, or compares it with what is known.
func (c *checker) learnValue(m *mapInfo, t Type, at syntax.Node) {
	t = c.inStorage(t)
	if m.value.Kind == None {
		m.value, m.valuePos, c.changed = t, at.Position(), true
		return
	}
	if !same(m.value, t) {
		c.errorf(at.Position(), "%s holds %s since line %d, column %d: it cannot hold %s too",
			m.name, m.value, m.valuePos.Line, m.valuePos.Column, t)
		return
	}
	c.widen(&m.value, t)
}

// widen makes a known type hold another, which is the same.
func (c *checker) widen(known *Type, t Type) {
	w := wider(*known, t)
	if w.Size != known.Size {
		c.changed = true
	}
	*known = w
}

// forLoop checks for ($kv : @map) and for ($i : from..to).
func (c *checker) forLoop(s *syntax.For) {
	element := noType
	if s.To != nil {
		c.number(s.From)
		c.number(s.To)
		element = int64Type
	} else {
		element = c.pairs(s)
	}
	c.scope = &scope{outer: c.scope, names: map[string]*variable{}}
	v := c.declare(s, s.Name, element, false)
	v.typ = element
	c.loop(s.Body)
	c.scope = c.scope.outer
}

// pairs is the tuple of key and value that a loop over a map gives.
func (c *checker) pairs(s *syntax.For) Type {
	m, ok := s.From.(*syntax.Map)
	if !ok {
		c.expr(s.From)
		return c.errorf(s.From.Position(), "for goes over a map or a range from..to")
	}
	if m.Key != nil {
		return c.errorf(m.Pos, "for goes over the whole map: write %s without a key", m.Name)
	}
	info := c.mapNamed(m)
	if info.keySet && info.key.Kind == None {
		return c.errorf(m.Pos, "%s has no keys to go over", m.Name)
	}
	if !c.host.Helper(fnForEach, c.unit.kind) {
		return c.errorf(s.Pos, "for over a map needs a helper that this kernel does not have (for_each_map_elem, Linux 5.13)")
	}
	if info.value.Kind == None || !info.keySet {
		return noType
	}
	value := info.value
	if value.isAggregate() {
		if !value.isCastable() {
			return c.errorf(m.Pos, "for cannot go over %s, which holds %s", m.Name, value)
		}
		value = value.read()
	}
	return tupleOf(nil, []Type{info.key, value})
}

// read is the integer that an aggregate is in an expression.
func (t Type) read() Type {
	return Type{Kind: Integer, Size: word, Signed: t.Signed}
}

// inStorage is the type a value has once it is kept: whole words, strings bounded.
func (c *checker) inStorage(t Type) Type {
	if t.Kind == Record && t.Name == argsRecord {
		return c.keptArguments()
	}
	if t.Kind == ArrayOf || t.Kind == Record {
		t.User = false
	}
	return t
}

// keptArguments are args as a whole, when they are kept: a structure with a place for each.
func (c *checker) keptArguments() Type {
	var names []string
	var types []Type
	for _, m := range c.arguments() {
		if strings.HasPrefix(m.Name, "common_") {
			continue
		}
		names, types = append(names, m.Name), append(types, c.member(m.Type, m.Type.User))
	}
	t := tupleOf(names, types)
	t.Kind, t.Name = Record, "args of "+c.unit.targets[0].Name
	return t
}

// suggest is a hint among known names, which begin with the same sign.
func suggest(name string, known []string) string {
	return nearest(strings.TrimSpace(name), known)
}
