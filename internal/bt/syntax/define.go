// SPDX-License-Identifier: Apache-2.0

package syntax

import "strings"

// define is an object-like #define.
type define []token

// define notes a #define NAME text without parameters.
func (p *parser) define(line string) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(line[1:], " \t"), "define")
	if !ok {
		return
	}
	s := newScanner(strings.ReplaceAll(rest, "\\\n", " \n"))
	name := s.next(0)
	if name.kind != tokWord || s.at(name.end) == '(' {
		return
	}
	var tokens define
	const most = 64
	for t := s.next(name.end); t.kind != tokEnd; t = s.next(t.end) {
		if t.kind == tokBad || len(tokens) == most {
			return
		}
		tokens = append(tokens, t)
	}
	if p.defines == nil {
		p.defines = map[string]define{}
	}
	p.defines[name.text] = tokens
}

// The bounds of resolving #define: steps for one word, and for a whole script.
const (
	maxSteps    = 1000
	maxAllSteps = 200_000
)

// resolve replaces the token by what #define says it stands for. Fields of structures, which
// come behind a dot or an arrow, keep their names.
func (p *parser) resolve(before token) {
	if p.tok.kind != tokWord || before.is(".") || before.is("->") {
		return
	}
	if _, ok := p.defines[p.tok.text]; !ok {
		return
	}
	use := p.tok
	e := expansion{defines: p.defines, left: min(maxSteps, maxAllSteps-p.expanded), active: map[string]bool{}}
	budget := e.left
	ok := e.expand(use.text)
	p.expanded += budget - e.left
	if !ok {
		return
	}
	for i := range e.tokens { // errors are where the word is, not where it was defined
		e.tokens[i].start, e.tokens[i].end = use.start, use.end
	}
	if len(e.tokens) == 0 {
		p.tok = p.scan.next(use.end)
		p.resolve(before)
		return
	}
	p.tok, p.queue = e.tokens[0], e.tokens[1:]
}

// expansion is what one word stands for in the end.
type expansion struct {
	defines map[string]define
	tokens  []token
	active  map[string]bool
	left    int // steps
}

// expand adds what a word stands for. It is false if the word leads back to itself or to
// too much: then it stands for itself, as nothing would end otherwise.
func (e *expansion) expand(name string) bool {
	if e.active[name] {
		return false
	}
	e.active[name] = true
	defer delete(e.active, name)
	for _, t := range e.defines[name] {
		if e.left--; e.left <= 0 {
			return false
		}
		if _, ok := e.defines[t.text]; ok && t.kind == tokWord {
			if !e.expand(t.text) {
				return false
			}
			continue
		}
		e.tokens = append(e.tokens, t)
	}
	return true
}
