// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strings"
)

// directive reads a line such as #include <linux/fs.h>.
func (p *parser) directive() *Definition {
	d := &Definition{At: p.here(), Kind: "#"}
	d.Text = strings.TrimRight(p.tok.text, " \t\r")
	p.define(d.Text)
	p.seek(p.tok.end)
	return d
}

// isDefinition tells a struct, union, enum or typedef of C from a probe.
func (p *parser) isDefinition() bool {
	switch p.tok.text {
	case "struct", "union", "enum", "typedef":
		after := p.peek()
		return after.is("{") || after.kind == tokWord
	}
	return false
}

// definition keeps C as it is, up to the brace that closes it and attributes behind it.
func (p *parser) definition() *Definition {
	d := &Definition{At: p.here(), Kind: p.tok.text}
	start := p.tok.start
	if after := p.peek(); after.kind == tokWord {
		d.Name = after.text
	}
	end := p.definitionEnd(start)
	d.Text = strings.TrimRight(p.scan.text[start:end], " \t\r\n;")
	p.seek(end)
	p.accept(";")
	return d
}

// maxDefinition is how long one definition can be, in bytes.
const maxDefinition = 64 << 10

// definitionEnd finds the end of a definition of C that begins at an offset.
func (p *parser) definitionEnd(start int) int {
	typedef := p.tok.is("typedef")
	braces, parens, closed := 0, 0, false
	last := start
	for t := p.scan.next(start); ; t = p.scan.next(t.end) {
		switch {
		case t.kind == tokEnd || t.start-start > maxDefinition:
			p.fail(start, p.tok.end, fmt.Sprintf("found a definition that does not end within %d bytes", maxDefinition), "")
		case closed && braces == 0 && parens == 0 && !typedef && !t.is("(") && !t.is("__attribute__"):
			return last
		case t.is("{"):
			braces++
		case t.is("}"):
			braces--
			closed = closed || braces == 0
		case t.is("("):
			parens++
		case t.is(")"):
			parens--
		case t.is(";") && braces == 0:
			if !closed && !typedef {
				p.fail(t.start, t.end, `found ";", expected a definition in braces`, "")
			}
			return t.end
		}
		if braces < 0 || parens < 0 {
			p.fail(t.start, t.end, "found "+t.describe()+", which nothing opened", "")
		}
		last = t.end
	}
}
