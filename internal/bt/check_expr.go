// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"fmt"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// expr checks an expression, and notes and returns its type.
func (c *checker) expr(x syntax.Expr) Type {
	t := c.typeOf(x)
	c.unit.types[x] = t
	return t
}

// value checks an expression that is read: aggregates are then integers.
func (c *checker) value(x syntax.Expr) Type {
	t := c.expr(x)
	if !t.isAggregate() {
		return t
	}
	if _, isMap := x.(*syntax.Map); isMap && t.isCastable() {
		if !c.host.Helper(fnLookupPerCPU, c.unit.kind) {
			return c.errorf(x.Position(), "reading %s needs a helper that this kernel does not have (map_lookup_percpu_elem, Linux 5.19)", t)
		}
		return t.read()
	}
	return c.errorf(x.Position(), "a value of type %s cannot be used here", t)
}

// number checks an expression that must be an integer or a pointer.
func (c *checker) number(x syntax.Expr) Type {
	t := c.value(x)
	if t.Kind != None && !t.isNumber() {
		return c.errorf(x.Position(), "an integer is wanted here, not %s", t)
	}
	return t
}

// condition checks what is true if it is not 0.
func (c *checker) condition(x syntax.Expr) { c.number(x) }

func (c *checker) typeOf(x syntax.Expr) Type {
	switch x := x.(type) {
	case *syntax.Integer:
		return Type{Kind: Integer, Size: word, Signed: !x.Unsigned}
	case *syntax.String:
		return c.literal(x)
	case *syntax.Name:
		return c.name(x)
	case *syntax.Positional:
		return c.positional(x)
	case *syntax.Variable:
		return c.variable(x)
	case *syntax.Map:
		return c.mapOf(x).value
	case *syntax.Tuple:
		return c.tuple(x)
	case *syntax.Record:
		return c.record(x)
	case *syntax.Call:
		return c.call(x)
	case *syntax.Field:
		return c.field(x)
	case *syntax.TupleIndex:
		return c.tupleIndex(x)
	case *syntax.Index:
		return c.index(x)
	}
	return c.operation(x)
}

func (c *checker) operation(x syntax.Expr) Type {
	switch x := x.(type) {
	case *syntax.Unary:
		return c.unary(x)
	case *syntax.Step:
		return c.step(x)
	case *syntax.Binary:
		return c.binary(x)
	case *syntax.Ternary:
		return c.ternary(x)
	case *syntax.Cast:
		return c.cast(x)
	case *syntax.Sizeof:
		return c.sizeof(x)
	case *syntax.Offsetof:
		return c.offsetof(x)
	case *syntax.BlockExpr:
		return c.blockExpr(x)
	}
	return c.errorf(x.Position(), "this expression is not known to the compiler")
}

func (c *checker) literal(x *syntax.String) Type {
	if len(x.Value) >= largestString {
		return c.errorf(x.Pos, "the string has %d bytes; at most %d are possible", len(x.Value), largestString-1)
	}
	return stringType(len(x.Value) + 1)
}

func (c *checker) positional(x *syntax.Positional) Type {
	if x.Given && !x.Numeric {
		return c.hintf(x.Pos, "write str($"+itoa(x.Number)+")", "$%d is %q, which is not an integer", x.Number, x.Text)
	}
	return int64Type
}

func (c *checker) variable(x *syntax.Variable) Type {
	v := c.scope.find(x.Name)
	if v == nil {
		return c.hintf(x.Pos, nearest(x.Name, c.scope.all()), "%s is read before anything was assigned to it", x.Name)
	}
	c.unit.vars[x] = v
	return v.typ
}

func (c *checker) tuple(x *syntax.Tuple) Type {
	var types []Type
	known := true
	for _, elem := range x.Elems {
		t := c.value(elem)
		known = known && t.Kind != None
		types = append(types, c.inStorage(t))
	}
	if !known {
		return noType
	}
	return tupleOf(nil, types)
}

func (c *checker) record(x *syntax.Record) Type {
	var types []Type
	var names []string
	for _, f := range x.Fields {
		t := c.value(f.Value)
		if t.Kind == None {
			return noType
		}
		types, names = append(types, c.inStorage(t)), append(names, f.Name)
	}
	return tupleOf(names, types)
}

func (c *checker) tupleIndex(x *syntax.TupleIndex) Type {
	base := c.expr(x.Base)
	switch {
	case base.Kind == None:
		return noType
	case base.Kind != Tuple:
		return c.errorf(x.Pos, ".%d reads a tuple, and this is %s", x.Index, base)
	case x.Index >= len(base.Fields):
		return c.errorf(x.Pos, "the tuple has %d elements, so there is no .%d", len(base.Fields), x.Index)
	}
	return base.Fields[x.Index].Type
}

func (c *checker) index(x *syntax.Index) Type {
	base := c.value(x.Base)
	c.number(x.Index)
	switch base.Kind {
	case None:
		return noType
	case ArrayOf:
		if n, ok := c.constant(x.Index); ok && (n < 0 || base.length() > 0 && n >= int64(base.length())) {
			at := start(x.Base)
			d := Diagnostic{Pos: x.Index.Position(), Text: fmt.Sprintf("index %d is outside of the array, which has %d elements", n, base.length()),
				Reference: fmt.Sprintf("the index %d is out of bounds for array of size %d", n, base.length())}
			if literal, ok := x.Index.(*syntax.Integer); ok && at.Line == d.Pos.Line {
				d.Length = d.Pos.Column + len(literal.Text) + 1 - at.Column
				d.Pos = at
			}
			c.problem(d)
			return noType
		}
		return c.member(*base.Elem, base.User)
	case Pointer:
		if base.Elem == nil || base.Elem.Size == 0 {
			return c.errorf(x.Pos, "cannot tell the size of what %s points to: cast it first", base)
		}
		return c.member(*base.Elem, base.User)
	case String:
		return Type{Kind: Integer, Size: 1, Signed: true}
	}
	return c.errorf(x.Pos, "[ ] reads an array or a pointer, and this is %s", base)
}

func (c *checker) unary(x *syntax.Unary) Type {
	if x.Op == syntax.Deref {
		return c.deref(x)
	}
	if x.Op == syntax.AddressOf {
		c.expr(x.X)
		return c.errorf(x.Pos, "the address of a variable cannot be taken")
	}
	t := c.number(x.X)
	switch {
	case t.Kind == None:
		return noType
	case x.Op == syntax.Not, x.Op == syntax.Minus:
		return int64Type
	case t.Kind == Pointer:
		return uint64Type
	}
	return Type{Kind: Integer, Size: word, Signed: t.Signed}
}

func (c *checker) deref(x *syntax.Unary) Type {
	t := c.value(x.X)
	switch {
	case t.Kind == None:
		return noType
	case t.Kind == Integer:
		return uint64Type
	case t.Kind != Pointer:
		return c.errorf(x.Pos, "* reads through a pointer, and this is %s", t)
	case t.Elem == nil || t.Elem.Size == 0:
		return c.errorf(x.Pos, "cannot tell the size of what %s points to: cast it first", t)
	}
	return c.member(*t.Elem, t.User)
}

func (c *checker) step(x *syntax.Step) Type {
	switch target := x.X.(type) {
	case *syntax.Variable:
		t := c.expr(target)
		if t.Kind != None && !t.isNumber() {
			return c.errorf(x.Pos, "++ and -- count integers, and %s is %s", target.Name, t)
		}
		return t
	case *syntax.Map:
		info := c.mapOf(target)
		if info.value.isAggregate() {
			return c.errorf(x.Pos, "%s holds %s since line %d: ++ and -- count integers", target.Name, info.value, info.valuePos.Line)
		}
		if info.value.Kind != Pointer {
			c.learnValue(info, int64Type, x)
		}
		return info.value
	}
	c.expr(x.X)
	return c.errorf(x.Pos, "++ and -- count a variable ($x) or a map (@x)")
}

func (c *checker) ternary(x *syntax.Ternary) Type {
	c.condition(x.Cond)
	a := c.unit.types[x.Cond]
	if x.Then != nil {
		a = c.value(x.Then)
	}
	b := c.value(x.Else)
	if a.Kind == None || b.Kind == None {
		return noType
	}
	if !same(a, b) {
		return c.errorf(x.Pos, "the two values of ? : must have one type; these are %s and %s", a, b)
	}
	return wider(a, b)
}

func (c *checker) blockExpr(x *syntax.BlockExpr) Type {
	c.scope = &scope{outer: c.scope, names: map[string]*variable{}}
	for _, s := range x.Stmts {
		c.statement(s)
	}
	t := c.value(x.Value)
	c.scope = c.scope.outer
	return t
}

// start is where the text of an expression begins.
func start(x syntax.Expr) compile.Pos {
	switch x := x.(type) {
	case *syntax.Field:
		return start(x.Base)
	case *syntax.Index:
		return start(x.Base)
	case *syntax.TupleIndex:
		return start(x.Base)
	}
	return x.Position()
}
