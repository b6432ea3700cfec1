// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
)

func (c *checker) assignVariable(x *syntax.Variable, s *syntax.Assign, value Type) {
	v := c.scope.find(x.Name)
	if v == nil {
		if s.Op != syntax.NoOp {
			c.hintf(x.Pos, nearest(x.Name, c.scope.all()), "%s is read before anything was assigned to it", x.Name)
		}
		v = c.declare(s, x.Name, noType, false)
	}
	c.unit.vars[x] = v
	c.unit.types[x] = v.typ
	c.learnVariable(v, value, s)
}

func (c *checker) learnVariable(v *variable, value Type, at syntax.Node) {
	if value.Kind == None {
		return
	}
	if value.isAggregate() {
		c.errorf(at.Position(), "%s cannot be assigned to a variable: only to a map", value)
		return
	}
	value = c.inStorage(value)
	switch {
	case v.typ.Kind == None:
		v.typ, v.pos, c.changed = value, at.Position(), true
	case !same(v.typ, value):
		c.errorf(at.Position(), "%s is %s since line %d, column %d: it cannot become %s",
			v.name, v.typ, v.pos.Line, v.pos.Column, value)
	case !v.declared:
		c.widen(&v.typ, value)
	case value.User && !v.typ.User: // the declaration does not say whose memory it is
		v.typ.User, c.changed = true, true
	}
}

// declare makes a variable in the innermost scope, the same one in every round.
func (c *checker) declare(at syntax.Node, name string, t Type, typed bool) *variable {
	v := c.unit.vars[at]
	if v == nil {
		v = &variable{name: name, typ: t, pos: at.Position(), declared: typed, index: len(c.unit.variables)}
		c.unit.variables = append(c.unit.variables, v)
		c.unit.vars[at] = v
	}
	c.scope.names[name] = v
	return v
}

func (c *checker) let(s *syntax.Let) {
	if c.scope.names[s.Name] != nil {
		c.errorf(s.Pos, "%s is declared twice in this block", s.Name)
	}
	var value Type
	if s.Value != nil {
		value = c.value(s.Value)
	}
	t := noType
	if s.Type != nil && c.known(s.Type) {
		t = c.resolve(s.Type)
	}
	v := c.declare(s, s.Name, t, s.Type != nil && t.Kind != None)
	c.learnVariable(v, value, s)
}
