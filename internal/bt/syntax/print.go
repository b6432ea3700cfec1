// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strings"
)

// Print writes a script in its canonical form: what Parse reads as the same tree.
func Print(program *Program) string {
	p := &printer{}
	if program.Interpreter != "" {
		p.line(program.Interpreter)
	}
	for _, d := range program.Definitions {
		p.definition(d)
	}
	if len(program.Config) > 0 {
		p.config(program.Config)
	}
	for _, m := range program.Maps {
		p.line(fmt.Sprintf("let %s = %s(%d);", m.Name, m.Kind, m.Max))
	}
	for _, m := range program.Macros {
		p.start("macro " + m.Name + "(" + list(m.Params) + ") ")
		p.block(m.Body.Stmts, nil)
		p.end("")
	}
	for _, f := range program.Functions {
		p.function(f)
	}
	for i, probe := range program.Probes {
		if i > 0 || p.b.Len() > 0 {
			p.line("")
		}
		p.probe(probe)
	}
	return p.b.String()
}

// printer writes lines. Expressions are written as text at once, with the blocks in them
// on one line.
type printer struct {
	b      strings.Builder
	indent int
}

func (p *printer) start(text string) {
	p.b.WriteString(strings.Repeat("\t", p.indent))
	p.b.WriteString(text)
}

func (p *printer) end(text string) {
	p.b.WriteString(text)
	p.b.WriteByte('\n')
}

func (p *printer) line(text string) {
	if text != "" {
		p.start(text)
	}
	p.end("")
}

func (p *printer) definition(d *Definition) {
	if d.Kind == "#" {
		p.line(d.Text)
		return
	}
	p.line(d.Text + ";")
}

func (p *printer) config(settings []*Setting) {
	p.line("config = {")
	p.indent++
	for _, s := range settings {
		p.line(s.Name + " = " + PrintExpr(s.Value) + ";")
	}
	p.indent--
	p.line("}")
}

func (p *printer) function(f *Function) {
	params := make([]string, len(f.Params))
	for i, param := range f.Params {
		params[i] = param.Name + " : " + param.Type.String()
	}
	p.start(fmt.Sprintf("fn %s(%s) : %s ", f.Name, strings.Join(params, ", "), f.Result))
	p.block(f.Body.Stmts, nil)
	p.end("")
}

func (p *printer) probe(probe *Probe) {
	for i, point := range probe.Points {
		text := point.Text
		if i == 0 && probe.Name != "" {
			text = probe.Name + "=" + text
		}
		if i < len(probe.Points)-1 {
			text += ","
		}
		p.line(text)
	}
	if probe.Predicate != nil {
		p.line("/ " + PrintExpr(probe.Predicate) + " /")
	}
	p.block(probe.Body.Stmts, nil)
	p.end("")
}

// block writes { statements } and, unless it is nil, the value that the block has.
func (p *printer) block(stmts []Stmt, value Expr) {
	p.end("{")
	p.indent++
	for _, s := range stmts {
		p.stmt(s)
	}
	if value != nil {
		p.line(PrintExpr(value))
	}
	p.indent--
	p.start("}")
}

func (p *printer) stmt(s Stmt) {
	p.start("")
	switch s := s.(type) {
	case *Block:
		p.block(s.Stmts, nil)
		p.end("")
	case *If:
		p.ifStmt(s)
		p.end("")
	case *While:
		p.loop("while ("+PrintExpr(s.Cond)+") ", s.Body)
	case *Unroll:
		p.loop("unroll ("+PrintExpr(s.Count)+") ", s.Body)
	case *For:
		p.loop(forHead(s), s.Body)
	default:
		p.end(simpleStmt(s) + ";")
	}
}

func (p *printer) loop(head string, body *Block) {
	p.b.WriteString(head)
	p.block(body.Stmts, nil)
	p.end("")
}

func forHead(s *For) string {
	if s.To == nil {
		return fmt.Sprintf("for (%s : %s) ", s.Name, operand(s.From))
	}
	return fmt.Sprintf("for (%s : %s..%s) ", s.Name, operand(s.From), operand(s.To))
}

func (p *printer) ifStmt(s *If) {
	p.b.WriteString("if (" + PrintExpr(s.Cond) + ") ")
	p.block(s.Then.Stmts, nil)
	if s.Else == nil {
		return
	}
	p.b.WriteString(" else ")
	if len(s.Else.Stmts) == 1 {
		if nested, ok := s.Else.Stmts[0].(*If); ok {
			p.ifStmt(nested)
			return
		}
	}
	p.block(s.Else.Stmts, nil)
}

// simpleStmt is a statement that ends in a semicolon, without it.
func simpleStmt(s Stmt) string {
	switch s := s.(type) {
	case *ExprStmt:
		return PrintExpr(s.X)
	case *Assign:
		return PrintExpr(s.Target) + " " + opText(s.Op) + "= " + PrintExpr(s.Value)
	case *Let:
		text := "let " + s.Name
		if s.Type != nil {
			text += " : " + s.Type.String()
		}
		if s.Value != nil {
			text += " = " + PrintExpr(s.Value)
		}
		return text
	case *Jump:
		text := [...]string{Break: "break", Continue: "continue", Return: "return"}[s.Kind]
		if s.Value != nil {
			text += " " + PrintExpr(s.Value)
		}
		return text
	}
	return ""
}

// String is the type as it is written.
func (t *Type) String() string {
	switch t.Kind {
	case PointerTo:
		return t.Elem.String() + " *"
	case ArrayOf:
		if e := t.Elem; e.Kind == Named && e.Length == 0 && isSized(e) {
			return e.Name + "[0]" + length(t.Length)
		}
		return t.Elem.String() + length(t.Length)
	case TypeOf:
		if t.Elem != nil {
			return "typeof(" + t.Elem.String() + ")"
		}
		return "typeof(" + notType(t.Of) + ")"
	}
	text := t.Name
	if t.Tag != "" {
		text = t.Tag + " " + t.Name
	}
	if t.Length > 0 {
		text += length(t.Length)
	}
	return text
}

func length(n uint64) string {
	if n == 0 {
		return "[]"
	}
	return fmt.Sprintf("[%d]", n)
}
