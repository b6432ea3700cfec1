// SPDX-License-Identifier: Apache-2.0

package syntax

// levels gives each binary operator its precedence: higher binds tighter.
var levels = map[string]struct {
	op    Op
	level int
}{
	"||": {LogicalOr, 1},
	"&&": {LogicalAnd, 2},
	"|":  {BitOr, 3},
	"^":  {BitXor, 4},
	"&":  {BitAnd, 5},
	"==": {Equal, 6}, "!=": {NotEqual, 6},
	"<": {Less, 7}, "<=": {LessEqual, 7}, ">": {Greater, 7}, ">=": {GreaterEqual, 7},
	"<<": {ShiftLeft, 8}, ">>": {ShiftRight, 8},
	"+": {Add, 9}, "-": {Subtract, 9},
	"*": {Multiply, 10}, "/": {Divide, 10}, "%": {Modulo, 10},
}

// prefixes are the operators in front of an operand.
var prefixes = map[string]Op{
	"-": Minus, "!": Not, "~": Complement, "*": Deref, "&": AddressOf,
}

// expr reads an expression.
func (p *parser) expr() Expr {
	p.enter()
	defer p.leave()
	cond := p.binary(1)
	if !p.tok.is("?") {
		return cond
	}
	p.operator()
	t := &Ternary{At: p.here(), Cond: cond}
	p.next()
	if !p.accept(":") {
		t.Then = p.expr()
		p.expect(":")
	}
	t.Else = p.expr()
	return t
}

// binary reads operators of at least a level by precedence climbing.
func (p *parser) binary(least int) Expr {
	left := p.unary()
	for {
		op, ok := levels[p.tok.text]
		if p.tok.kind != tokPunct || !ok || op.level < least || p.endsPredicate() {
			return left
		}
		p.operator()
		b := &Binary{At: p.here(), Op: op.op, Left: left}
		p.next()
		b.Right = p.binary(op.level + 1)
		left = b
	}
}

// endsPredicate tells the slash behind a predicate from a division: a block follows.
func (p *parser) endsPredicate() bool {
	return p.predicate && p.tok.is("/") && p.peek().is("{")
}

// unary reads prefix operators, casts and what they apply to.
func (p *parser) unary() Expr {
	p.enter()
	defer p.leave()
	at := p.here()
	if p.tok.is("++") || p.tok.is("--") {
		s := &Step{At: at, Down: p.next().text == "--", Prefix: true}
		operand := p.tok
		s.X = p.unary()
		p.checkStep(s.X, operand)
		return s
	}
	if op, ok := prefixes[p.tok.text]; ok && p.tok.kind == tokPunct {
		p.operator()
		p.next()
		return &Unary{At: at, Op: op, X: p.unary()}
	}
	if p.tok.is("(") && p.isCast() {
		p.next()
		c := &Cast{At: at, Type: p.typ()}
		p.expect(")")
		c.X = p.unary()
		return c
	}
	start := p.here()
	return p.postfix(p.primary(), start)
}

// checkStep refuses ++ and -- on what cannot be given a value.
func (p *parser) checkStep(x Expr, operand token) {
	switch x.(type) {
	case *Variable, *Map, *Name:
		return
	}
	p.fail(operand.start, operand.end, `found "++" or "--" on an expression; only a variable or a map can be stepped`, "")
}

// postfix reads what follows an operand: fields, indexes, ++ and --.
func (p *parser) postfix(x Expr, start At) Expr {
	for {
		at := p.here()
		switch {
		case p.tok.is(".") || p.tok.is("->"):
			x = p.field(x, at, start)
		case p.tok.is("["):
			p.next()
			x = &Index{At: at, Base: x, Index: p.expr()}
			p.expect("]")
		case p.tok.is("++") || p.tok.is("--"):
			p.checkStep(x, p.tok)
			x = &Step{At: at, X: x, Down: p.next().text == "--"}
		default:
			return x
		}
		p.operator()
	}
}

// field reads .name, ->name and .0.
func (p *parser) field(x Expr, at At, start At) Expr {
	arrow := p.next().text == "->"
	if p.tok.kind == tokInteger && !arrow {
		n := p.integer()
		const most = 1 << 16
		if n.Value >= most {
			p.fail(p.tok.start, p.tok.end, "found a number that no tuple has an element of", "")
		}
		return &TupleIndex{At: at, Base: x, Index: int(n.Value)}
	}
	return &Field{At: at, Base: x, Name: p.word("the name of a field").text, Arrow: arrow, Start: start}
}

// call reads the arguments of f(a, b).
func (p *parser) call(at At, name string) Expr {
	c := &Call{At: at, Name: name}
	p.expect("(")
	c.Args = p.list(")")
	return c
}

// list reads expressions up to what closes the list; a comma may come last.
func (p *parser) list(closing string) []Expr {
	defer func(predicate bool) { p.predicate = predicate }(p.predicate)
	p.predicate = false
	var list []Expr
	for !p.tok.is(closing) {
		list = append(list, p.expr())
		if !p.accept(",") {
			break
		}
	}
	if !p.tok.is(closing) {
		p.expected(quote(closing) + ` or ","`)
	}
	p.next()
	return list
}
