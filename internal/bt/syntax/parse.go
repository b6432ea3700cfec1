// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strings"
)

// The bounds of what is read. They are far above what scripts need, and low enough that
// nobody can make the agent work or recurse without end.
const (
	MaxText      = 1 << 20 // bytes of a script
	maxDepth     = 200     // of blocks and expressions in each other
	maxOperators = 5000    // in one statement, which bounds the depth of its tree
	maxErrors    = 20      // told of
	maxFailures  = 100     // after which the rest is not read, told of or not
)

// Parse reads a script. args are the positional parameters. The tree holds what could be
// read even where there are errors; it is complete only if there are none.
func Parse(text string, args []string) (*Program, Errors) {
	program := &Program{}
	if len(text) > MaxText {
		return program, Errors{{Length: 1, Text: fmt.Sprintf("the script has %d bytes; at most %d are read", len(text), MaxText)}}
	}
	p := newParser(text, args)
	program.Pos = p.scan.position(0)
	if strings.HasPrefix(text, "#!") {
		end := p.scan.lineEnd(0)
		program.Interpreter = strings.TrimRight(text[:end], "\r")
		p.seek(end)
	}
	p.program(program)
	return program, p.errors
}

// ParsePoints reads a list of attach points, as -l takes it: kprobe:vfs_*,t:sched:*.
func ParsePoints(text string, args []string) ([]*AttachPoint, Errors) {
	if len(text) > MaxText {
		return nil, Errors{{Length: 1, Text: fmt.Sprintf("the list has %d bytes; at most %d are read", len(text), MaxText)}}
	}
	p := newParser(text, args)
	var points []*AttachPoint
	p.attempt(func() {
		points = p.points()
		if p.tok.kind != tokEnd {
			p.expected("a comma or the end of the list")
		}
	})
	return points, p.errors
}

// parser is the state of reading one script.
type parser struct {
	scan    *scanner
	args    []string
	defines map[string]define
	tok     token   // the one to look at
	queue   []token // what a #define stands for, to be read before the text goes on
	last    int     // end of the token before tok

	errors    Errors
	reported  int // offset of the last error, so that nothing is told of twice
	failures  int
	torn      bool // a string or a comment did not end, so that braces behind it are missing
	expanded  int  // steps taken to resolve #define
	depth     int
	operators int
	values    int  // blocks with a value that this is in: expressions with statements
	predicate bool // in a predicate, where / may be its end
}

func newParser(text string, args []string) *parser {
	p := &parser{scan: newScanner(text), args: args, reported: -1}
	p.tok = p.scan.next(0)
	return p
}

// bailout unwinds from where an error was noted to where parsing can go on.
type bailout struct{}

// attempt runs f and tells whether it came through without an error.
func (p *parser) attempt(f func()) (ok bool) {
	depth, predicate := p.depth, p.predicate
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case bailout:
			ok = false
			p.failures++
			p.depth, p.predicate = depth, predicate
		default:
			panic(r)
		}
	}()
	f()
	return true
}

// fail notes an error about the bytes from start to end, and gives up what is being read.
func (p *parser) fail(start, end int, text, hint string) {
	p.note(start, end, text, hint)
	panic(bailout{})
}

// note notes an error and lets parsing go on.
func (p *parser) note(start, end int, text, hint string) {
	if start <= p.reported || len(p.errors) >= maxErrors {
		return
	}
	p.reported = start
	p.errors = append(p.errors, &Error{
		Pos: p.scan.position(start), Length: max(1, end-start), Text: text, Hint: hint,
	})
}

// givesUp tells that there is too much wrong to go on: each failure may have looked at all
// of the text.
func (p *parser) givesUp() bool {
	return len(p.errors) >= maxErrors || p.failures >= maxFailures
}

// expected fails: the next token is not what the grammar asks for.
func (p *parser) expected(what string) {
	p.expectedHint(what, "")
}

func (p *parser) expectedHint(what, hint string) {
	if p.tok.kind == tokBad {
		p.torn = true
		p.fail(p.tok.from, p.tok.to, "found "+p.tok.msg, "")
	}
	p.fail(p.tok.start, p.tok.end, fmt.Sprintf("found %s, expected %s", p.tok.describe(), what), hint)
}

// seek makes the text go on at an offset.
func (p *parser) seek(offset int) {
	p.queue = nil
	p.last = offset
	p.tok = p.scan.next(offset)
	p.resolve(token{})
}

// next passes the token and returns it. #define is resolved here.
func (p *parser) next() token {
	t := p.tok
	p.last = t.end
	if len(p.queue) > 0 {
		p.tok, p.queue = p.queue[0], p.queue[1:]
	} else {
		p.tok = p.scan.next(t.end)
		p.resolve(t)
	}
	return t
}

// accept passes the token if it is that operator or word.
func (p *parser) accept(text string) bool {
	if !p.tok.is(text) {
		return false
	}
	p.next()
	return true
}

// expect passes an operator or word that has to be here.
func (p *parser) expect(text string) token {
	if !p.tok.is(text) {
		p.expected(quote(text))
	}
	return p.next()
}

// word passes a name that has to be here.
func (p *parser) word(what string) token {
	if p.tok.kind != tokWord {
		p.expected(what)
	}
	return p.next()
}

// here is the position of the token.
func (p *parser) here() At { return At{p.scan.position(p.tok.start)} }

// enter counts nesting, and fails where there is too much of it.
func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.tok.start, p.tok.end, fmt.Sprintf("more than %d blocks and expressions inside each other", maxDepth), "")
	}
}

func (p *parser) leave() { p.depth-- }

// operator counts operators of one statement.
func (p *parser) operator() {
	if p.operators++; p.operators > maxOperators {
		p.fail(p.tok.start, p.tok.end, fmt.Sprintf("more than %d operators in one statement", maxOperators), "")
	}
}

// peek is the token behind the next one. It does not see through #define.
func (p *parser) peek() token {
	if len(p.queue) > 0 {
		return p.queue[0]
	}
	return p.scan.next(p.tok.end)
}

// recover passes what is left of a statement: to behind its semicolon, or to the brace
// that closes the block.
func (p *parser) recover() {
	for depth := 0; p.tok.kind != tokEnd; p.next() {
		switch {
		case p.tok.is("{"):
			depth++
		case p.tok.is("}") && depth == 0:
			return
		case p.tok.is("}"):
			if depth--; depth == 0 && !p.peek().is(";") {
				p.next()
				return
			}
		case p.tok.is(";") && depth == 0:
			p.next()
			return
		}
	}
}
