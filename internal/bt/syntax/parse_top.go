// SPDX-License-Identifier: Apache-2.0

package syntax

import "strings"

// program reads everything up to the end of the text.
func (p *parser) program(program *Program) {
	for p.tok.kind != tokEnd && !p.givesUp() {
		start := p.tok.start
		if p.attempt(func() { p.item(program) }) {
			continue
		}
		p.recoverItem()
		if p.tok.start == start && p.tok.kind != tokEnd {
			p.next()
		}
	}
}

// recoverItem passes to behind the block in which an item failed, or, before a block began,
// to behind the next one. What looks like the start of another item ends the search too.
func (p *parser) recoverItem() {
	for depth := 0; p.tok.kind != tokEnd; {
		switch {
		case p.tok.is("{"):
			depth++
		case p.tok.is("}"):
			if depth--; depth <= 0 {
				p.next()
				return
			}
		case p.tok.is(";") && depth == 0:
			p.next()
			return
		}
		p.next()
	}
}

// item reads one thing of the top level.
func (p *parser) item(program *Program) {
	p.depth, p.operators, p.predicate = 0, 0, false
	switch {
	case p.tok.kind == tokDirective:
		program.Definitions = append(program.Definitions, p.directive())
	case p.tok.kind == tokWord && p.isDefinition():
		program.Definitions = append(program.Definitions, p.definition())
	case p.tok.is("config") && p.peek().is("="):
		program.Config = append(program.Config, p.config()...)
	case p.tok.is("let"):
		program.Maps = append(program.Maps, p.mapDecl())
	case p.tok.is("macro") && p.peek().kind == tokWord:
		program.Macros = append(program.Macros, p.macro())
	case p.tok.is("fn") && p.peek().kind == tokWord:
		program.Functions = append(program.Functions, p.function())
	case p.tok.is("import") && p.peek().kind == tokString:
		p.fail(p.tok.start, p.tok.end, `found "import", which is not supported`, "put what it brings into this script")
	case p.tok.is(";"):
		p.next()
	default:
		program.Probes = append(program.Probes, p.probe())
	}
}

// config reads config = { name = value; ... }.
func (p *parser) config() []*Setting {
	p.next()
	p.expect("=")
	p.expect("{")
	var settings []*Setting
	for !p.tok.is("}") {
		s := &Setting{At: p.here()}
		s.Name = settingName(p.word("the name of a setting").text)
		p.expect("=")
		s.Value = p.settingValue()
		settings = append(settings, s)
		if !p.tok.is("}") {
			p.expect(";")
		}
	}
	p.next()
	return settings
}

// settingName turns BPFTRACE_MAX_STRLEN, as environments have it, into max_strlen.
func settingName(name string) string {
	const prefix = "bpftrace_"
	name = strings.ToLower(name)
	for len(name) > len(prefix) && strings.HasPrefix(name, prefix) && isLetter(name[len(prefix)]) {
		name = name[len(prefix):]
	}
	return name
}

// settingValue reads a number, a string or a word.
func (p *parser) settingValue() Expr {
	switch p.tok.kind {
	case tokInteger:
		return p.integer()
	case tokString:
		at := p.here()
		return &String{At: at, Value: p.next().value}
	case tokWord:
		at := p.here()
		if p.tok.text == "true" || p.tok.text == "false" {
			return p.boolean()
		}
		return &Name{At: at, Name: p.next().text}
	}
	p.expected("a number, a string or a word")
	return nil
}

// mapDecl reads let @m = hash(10);.
func (p *parser) mapDecl() *MapDecl {
	m := &MapDecl{At: p.here()}
	p.next()
	if p.tok.kind != tokMap {
		p.expectedHint("a map", "variables are declared inside a block")
	}
	m.Name = p.next().text
	p.expect("=")
	m.Kind = p.word("the type of a map, such as hash or lruhash").text
	p.expect("(")
	if p.tok.kind != tokInteger {
		p.expected("the number of entries")
	}
	m.Max = p.integer().Value
	p.expect(")")
	p.accept(";")
	return m
}

// macro reads macro f($a, @b, c) { ... }; the parentheses may be missing.
func (p *parser) macro() *Macro {
	m := &Macro{At: p.here()}
	p.next()
	m.Name = p.word("the name of the macro").text
	if p.accept("(") {
		for !p.tok.is(")") {
			m.Params = append(m.Params, p.macroParam())
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	}
	m.Body = p.block()
	return m
}

func (p *parser) macroParam() Expr {
	at := p.here()
	switch p.tok.kind {
	case tokVariable:
		return &Variable{At: at, Name: p.next().text}
	case tokMap:
		return &Map{At: at, Name: p.next().text}
	}
	return &Name{At: at, Name: p.word("a parameter: $name, @name or name").text}
}

// function reads fn f($a : int64) : int64 { ... }.
func (p *parser) function() *Function {
	f := &Function{At: p.here()}
	p.next()
	f.Name = p.word("the name of the function").text
	p.expect("(")
	for !p.tok.is(")") {
		param := &Param{At: p.here()}
		if p.tok.kind != tokVariable {
			p.expected("a parameter such as $x : int64")
		}
		param.Name = p.next().text
		p.expect(":")
		param.Type = p.typ()
		f.Params = append(f.Params, param)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	p.expect(":")
	f.Result = p.typ()
	f.Body = p.block()
	return f
}

// probe reads a list of attach points, a predicate and a block.
func (p *parser) probe() *Probe {
	probe := &Probe{At: p.here()}
	if p.tok.kind == tokWord && p.peek().is("=") {
		probe.Name = p.next().text
		p.next()
	}
	probe.Points = p.points()
	if p.accept("/") {
		p.predicate = true
		probe.Predicate = p.expr()
		p.predicate = false
		p.expect("/")
	}
	if !p.tok.is("{") {
		p.expected(`"{", a predicate between slashes, or a comma and another probe`)
	}
	probe.Body = p.block()
	return probe
}
