// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"

	"github.com/skep-io/skep/internal/spelling"
)

// statementWords begin statements.
var statementWords = []string{"if", "else", "while", "unroll", "for", "let", "return", "break", "continue"}

// block reads { statements }. Errors inside end only the statement that they are in.
func (p *parser) block() *Block {
	b := &Block{At: p.here()}
	b.Stmts, _ = p.stmts(false)
	return b
}

// stmts reads { statements }, and, if that is asked for, the expression at their end that
// is without a semicolon and the value of the block.
func (p *parser) stmts(value bool) (stmts []Stmt, last Expr) {
	p.enter()
	defer p.leave()
	defer func(predicate bool) { p.predicate = predicate }(p.predicate)
	p.predicate = false
	if value {
		p.values++
		defer func() { p.values-- }()
	}
	open := p.expect("{")
	for !p.tok.is("}") {
		if p.tok.kind == tokEnd && p.torn {
			panic(bailout{})
		}
		if p.tok.kind == tokEnd {
			p.fail(p.tok.start, p.tok.end, `found the end of the script, expected "}"`, p.openedAt(open))
		}
		if p.givesUp() {
			panic(bailout{})
		}
		if p.accept(";") {
			continue
		}
		start := p.tok
		var s Stmt
		if !p.attempt(func() { s = p.stmt() }) {
			p.recover()
			continue
		}
		if p.endStmt(s, start) || !value {
			stmts = append(stmts, s)
			continue
		}
		if e, ok := s.(*ExprStmt); ok {
			last = e.X
			break
		}
		stmts = append(stmts, s)
	}
	p.expect("}")
	return stmts, last
}

// endStmt passes the semicolon of a statement and tells whether there was one, or none
// was needed. If it is missing that is noted.
func (p *parser) endStmt(s Stmt, start token) bool {
	switch {
	case p.accept(";"):
		return true
	case p.tok.is("}"):
		_, isExpr := s.(*ExprStmt)
		return !isExpr
	}
	switch s := s.(type) {
	case *If, *While, *Unroll, *For, *Block:
		return true
	case *ExprStmt:
		if _, ok := s.X.(*BlockExpr); ok {
			return true
		}
	}
	hint := ""
	if start.kind == tokWord {
		if near := spelling.Nearest(start.text, statementWords); near != "" {
			hint = "did you mean " + quote(near) + "?"
		}
	}
	p.attempt(func() { p.expectedHint(`";" or "}"`, hint) })
	p.recover()
	return true
}

func (p *parser) openedAt(open token) string {
	pos := p.scan.position(open.start)
	return fmt.Sprintf("the block begins in line %d", pos.Line)
}

// stmt reads one statement without its semicolon.
func (p *parser) stmt() Stmt {
	if p.values == 0 {
		p.operators = 0
	}
	at := p.here()
	switch p.tok.kind {
	case tokWord:
		if s := p.wordStmt(at); s != nil {
			return s
		}
	case tokPunct:
		if p.tok.is("{") {
			return p.blockStmt(at)
		}
	}
	return p.exprOrAssign(at)
}

// wordStmt reads a statement that begins with a word of the language, or returns nil.
func (p *parser) wordStmt(at At) Stmt {
	switch p.tok.text {
	case "if":
		return p.ifStmt(at)
	case "while":
		p.next()
		return &While{At: at, Cond: p.condition(), Body: p.block()}
	case "unroll":
		p.next()
		return &Unroll{At: at, Count: p.condition(), Body: p.block()}
	case "for":
		return p.forStmt(at)
	case "let":
		return p.let(at)
	case "break":
		p.next()
		return &Jump{At: at, Kind: Break}
	case "continue":
		p.next()
		return &Jump{At: at, Kind: Continue}
	case "return":
		p.next()
		j := &Jump{At: at, Kind: Return}
		if !p.tok.is(";") && !p.tok.is("}") {
			j.Value = p.expr()
		}
		return j
	case "else":
		p.fail(p.tok.start, p.tok.end, `found "else" without an if in front of it`, "")
	}
	return nil
}

// blockStmt reads a block that is a statement, or the expression that begins with one.
func (p *parser) blockStmt(at At) Stmt {
	p.enter()
	defer p.leave()
	stmts, value := p.stmts(true)
	if value == nil {
		return &Block{At: at, Stmts: stmts}
	}
	return &ExprStmt{At: at, X: &BlockExpr{At: at, Stmts: stmts, Value: value}}
}

// condition reads (expression), or an expression without parentheses.
func (p *parser) condition() Expr {
	if !p.accept("(") {
		return p.expr()
	}
	x := p.expr()
	p.expect(")")
	return x
}

func (p *parser) ifStmt(at At) Stmt {
	p.enter()
	defer p.leave()
	p.next()
	s := &If{At: at, Cond: p.condition(), Then: p.block()}
	if !p.accept("else") {
		return s
	}
	elseAt := p.here()
	if p.tok.is("if") {
		s.Else = &Block{At: elseAt, Stmts: []Stmt{p.ifStmt(elseAt)}}
		return s
	}
	if !p.tok.is("{") {
		p.expected(`"{" or "if"`)
	}
	s.Else = p.block()
	return s
}

// forStmt reads for ($x : @map) { } and for ($x : from..to) { }.
func (p *parser) forStmt(at At) Stmt {
	p.next()
	paren := p.accept("(")
	if p.tok.kind != tokVariable {
		p.expected("the variable of the loop")
	}
	f := &For{At: at, Name: p.next().text}
	p.expect(":")
	f.From = p.unary()
	if p.accept("..") {
		f.To = p.unary()
	} else if _, ok := f.From.(*Map); !ok {
		if _, ok := f.From.(*Name); !ok {
			p.expected(`".." and the end of a range, or a map in front of it`)
		}
	}
	if paren {
		p.expect(")")
	}
	f.Body = p.block()
	return f
}

// let reads let $x, let $x : type, each with or without a value.
func (p *parser) let(at At) Stmt {
	p.next()
	if p.tok.kind == tokMap {
		p.expectedHint("a variable", "maps are declared in front of the probes")
	}
	if p.tok.kind != tokVariable {
		p.expected("a variable")
	}
	l := &Let{At: at, Name: p.next().text}
	if p.accept(":") {
		l.Type = p.typ()
	}
	if p.accept("=") {
		l.Value = p.expr()
	}
	return l
}

// assignments are the operators that give a value.
var assignments = map[string]Op{
	"=": NoOp, "<<=": ShiftLeft, ">>=": ShiftRight, "+=": Add, "-=": Subtract, "*=": Multiply,
	"/=": Divide, "%=": Modulo, "&=": BitAnd, "|=": BitOr, "^=": BitXor,
}

// exprOrAssign reads an expression and, if it can be given a value, the assignment.
func (p *parser) exprOrAssign(at At) Stmt {
	start := p.tok.start
	x := p.expr()
	op, ok := assignments[p.tok.text]
	if p.tok.kind != tokPunct || !ok {
		return &ExprStmt{At: at, X: x}
	}
	switch x.(type) {
	case *Variable, *Map, *Name:
	case *TupleIndex, *Field:
		p.fail(start, p.last, "found an assignment to a part of a value; only a variable or a map can be given one", "make a new tuple or record and assign that")
	default:
		p.fail(start, p.last, "found an assignment to an expression; only a variable or a map can be given a value", "did you mean \"==\"?")
	}
	p.next()
	return &Assign{At: at, Target: x, Op: op, Value: p.expr()}
}
