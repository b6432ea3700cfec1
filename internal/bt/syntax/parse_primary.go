// SPDX-License-Identifier: Apache-2.0

package syntax

import "strconv"

// primary reads an operand.
func (p *parser) primary() Expr {
	at := p.here()
	switch p.tok.kind {
	case tokInteger:
		return p.integer()
	case tokString:
		return &String{At: at, Value: p.next().value}
	case tokVariable:
		return &Variable{At: at, Name: p.next().text}
	case tokPositional:
		return p.positional()
	case tokMap:
		return p.mapExpr()
	case tokWord:
		return p.wordExpr()
	}
	switch {
	case p.tok.is("("):
		return p.paren()
	case p.tok.is("{"):
		return p.blockExpr()
	}
	p.expected("an expression")
	return nil
}

// integer reads a literal.
func (p *parser) integer() *Integer {
	at := p.here()
	n, err := parseInteger(p.tok.text)
	if err != nil {
		p.fail(p.tok.start, p.tok.end, err.Error(), "")
	}
	n.At = at
	p.next()
	return n
}

func (p *parser) boolean() *Integer {
	n := &Integer{At: p.here(), Text: p.tok.text, Bool: true}
	if p.next().text == "true" {
		n.Value = 1
	}
	return n
}

// positional reads $1 and $#, and looks the argument up.
func (p *parser) positional() Expr {
	x := &Positional{At: p.here()}
	start, end := p.tok.start, p.tok.end
	text := p.next().text[1:]
	if text == "#" {
		x.Given, x.Numeric, x.Value = true, true, uint64(len(p.args))
		return x
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		p.fail(start, end, "found "+quote("$"+text)+"; parameters are counted from $1", "")
	}
	x.Number = n
	if n > len(p.args) {
		return x
	}
	x.Given, x.Text = true, p.args[n-1]
	digits := x.Text
	if len(digits) > 1 && digits[0] == '-' {
		digits, x.Negative = digits[1:], true
	}
	if digits == "" || !isDigit(digits[0]) {
		x.Negative = false
		return x
	}
	value, err := parseInteger(digits)
	if err != nil {
		x.Negative = false
		return x
	}
	x.Numeric, x.Value = true, value.Value
	if x.Negative {
		x.Value = -x.Value
	}
	return x
}

// mapExpr reads @m and @m[key].
func (p *parser) mapExpr() Expr {
	m := &Map{At: p.here(), Name: p.next().text}
	if !p.tok.is("[") {
		return m
	}
	at := p.here()
	p.next()
	if p.tok.is("]") {
		p.expected("a key")
	}
	keys := p.list("]")
	m.Key = keys[0]
	if len(keys) > 1 {
		m.Key = &Tuple{At: at, Elems: keys}
	}
	return m
}

// wordExpr reads what begins with a word: a builtin, a call, sizeof and the like.
func (p *parser) wordExpr() Expr {
	at := p.here()
	switch p.tok.text {
	case "true", "false":
		return p.boolean()
	case "sizeof":
		return p.sizeof(at)
	case "offsetof":
		return p.offsetof(at)
	case "typeof":
		if p.peek().is("(") {
			return &TypeArg{At: at, Type: p.typeof(&Type{At: at})}
		}
	case "if":
		return p.ifExpr(at)
	case "else", "while", "for", "unroll", "let", "return", "break", "continue", "struct", "union", "enum":
		p.expected("an expression")
	}
	name := p.next().text
	if p.tok.is("(") {
		return p.call(at, name)
	}
	return &Name{At: at, Name: name}
}

// ifExpr reads if cond { a } else { b }, which has a value.
func (p *parser) ifExpr(at At) Expr {
	p.enter()
	defer p.leave()
	p.next()
	t := &Ternary{At: at, Cond: p.condition(), Then: p.blockExpr()}
	p.expect("else")
	if p.tok.is("if") {
		t.Else = p.ifExpr(p.here())
		return t
	}
	t.Else = p.blockExpr()
	return t
}

// blockExpr reads { statements; value }.
func (p *parser) blockExpr() Expr {
	b := &BlockExpr{At: p.here()}
	start := p.tok
	if b.Stmts, b.Value = p.stmts(true); b.Value == nil {
		if b.lastIf() {
			return b
		}
		p.fail(start.start, start.end, "found a block without a value where a value is needed", "leave out the semicolon behind its last expression")
	}
	return b
}

// lastIf makes an if at the end of a block, which was read as a statement, the value of the
// block, and tells whether it has one.
func (b *BlockExpr) lastIf() bool {
	if len(b.Stmts) == 0 {
		return false
	}
	value := ifValue(b.Stmts[len(b.Stmts)-1])
	if value == nil {
		return false
	}
	b.Stmts, b.Value = butLast(b.Stmts), value
	return true
}

// ifValue is an if with else as an expression, nil if it has no value.
func ifValue(s Stmt) Expr {
	i, ok := s.(*If)
	if !ok || i.Else == nil {
		return nil
	}
	then, otherwise := blockValue(i.Then), blockValue(i.Else)
	if then == nil || otherwise == nil {
		return nil
	}
	return &Ternary{At: i.At, Cond: i.Cond, Then: then, Else: otherwise}
}

// blockValue is a block whose last statement is an expression as one with that value.
func blockValue(b *Block) Expr {
	x := &BlockExpr{At: b.At, Stmts: b.Stmts}
	if len(b.Stmts) == 0 {
		return nil
	}
	if last, ok := b.Stmts[len(b.Stmts)-1].(*ExprStmt); ok {
		x.Stmts, x.Value = butLast(b.Stmts), last.X
		return x
	}
	if !x.lastIf() {
		return nil
	}
	return x
}

// butLast is a list without its last statement, nil if nothing is left.
func butLast(stmts []Stmt) []Stmt {
	if len(stmts) <= 1 {
		return nil
	}
	return stmts[: len(stmts)-1 : len(stmts)-1]
}

// paren reads (x), (a, b), (a=1, b=2) and ().
func (p *parser) paren() Expr {
	at := p.here()
	if after := p.peek(); after.kind == tokWord && p.scanIs(after.end, "=") {
		return p.record(at)
	}
	p.next()
	defer func(predicate bool) { p.predicate = predicate }(p.predicate)
	p.predicate = false
	if p.accept(")") {
		return &Tuple{At: at}
	}
	first := p.expr()
	if p.accept(")") {
		return first
	}
	if !p.accept(",") {
		p.expected(`")" or ","`)
	}
	return &Tuple{At: at, Elems: append([]Expr{first}, p.list(")")...)}
}

// scanIs tells whether the token behind an offset is that operator.
func (p *parser) scanIs(offset int, text string) bool {
	return len(p.queue) == 0 && p.scan.next(offset).is(text)
}

// record reads (a=1, b=2).
func (p *parser) record(at At) Expr {
	defer func(predicate bool) { p.predicate = predicate }(p.predicate)
	p.predicate = false
	p.next()
	r := &Record{At: at}
	seen := map[string]bool{}
	for !p.tok.is(")") {
		f := &RecordField{At: p.here()}
		name := p.word("the name of a field")
		if f.Name = name.text; seen[f.Name] {
			p.note(name.start, name.end, "found a second field "+quote(f.Name)+" in one record", "")
		}
		seen[f.Name] = true
		p.expect("=")
		f.Value = p.expr()
		r.Fields = append(r.Fields, f)
		if !p.accept(",") {
			break
		}
	}
	if !p.tok.is(")") {
		p.expected(`")" or ","`)
	}
	p.next()
	return r
}
