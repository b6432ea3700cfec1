// SPDX-License-Identifier: Apache-2.0

package generate

import "fmt"

// statement is one of many kinds; 0 is none.
func (g *generator) statement() {
	if g.budget--; g.budget < 0 {
		return
	}
	switch n := g.Pick(27); {
	case n == 0:
	case n < 5:
		g.assign()
	case n < 10:
		g.store()
	case n < 12:
		g.conditional()
	case n < 13:
		g.while()
	case n < 15:
		g.count()
	case n < 16:
		g.each()
	case n < 17:
		g.unroll()
	case n < 19:
		g.remove()
	case n < 20:
		g.leave()
	case n < 21:
		g.line("%s%s;", g.variable(number), g.of("++", "--"))
	case n < 22:
		g.declare(kind(g.Pick(int(kinds))))
	case n < 24:
		g.again()
	case n < 25:
		g.flag()
	default:
		g.print()
	}
}

// variable is one that can be assigned to.
func (g *generator) variable(k kind) string { return g.vars[k][g.Pick(len(g.vars[k]))] }

func (g *generator) assign() {
	k := kind(g.Pick(int(kinds)))
	if len(g.vars[k]) == 0 {
		k = number
	}
	name := g.variable(k)
	if k == number && g.Pick(3) == 2 {
		g.line("%s %s %s;", name, g.of("+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="), g.divisor())
		return
	}
	g.line("%s = %s;", name, g.value(k, 3))
}

func (g *generator) print() {
	if g.isFunction {
		return
	}
	switch g.Pick(4) {
	case 0:
		g.line("print(%s);", g.value(kind(g.Pick(int(kinds))), 2))
	case 1:
		g.line(`printf("%%s|%%d|%%s", %s, %s, %s);`, g.words(2), g.number(2), g.words(1))
	case 2:
		if m, ok := g.some(func(m mapOf) bool { return true }); ok {
			g.line("%s(%s);", g.of("clear", "zero", "print"), m.name)
		}
	default:
		g.line("print((%s, %s));", g.value(pair, 1), g.number(1))
	}
}

func (g *generator) conditional() {
	if g.nesting > 3 {
		return
	}
	g.line("if (%s) {", g.number(3))
	g.block(g.few)
	if g.Pick(2) == 1 {
		g.line("else {")
		g.block(g.few)
	}
}

func (g *generator) few() {
	for range g.Pick(4) {
		g.statement()
	}
}

// inLoop writes the body of a loop: a few statements, of which some may leave it.
func (g *generator) inLoop() {
	g.loops++
	g.few()
	g.loops--
}

// while counts up to a constant. It counts first, so that continue is not for ever.
func (g *generator) while() {
	if g.loops > 1 || g.nesting > 2 {
		return
	}
	name := g.name("w")
	g.line("%s = 0;", name)
	g.line("while (%s < %d && %s) {", name, 1+g.Pick(3), g.number(1))
	g.block(func() {
		g.line("%s++;", name)
		g.vars[number] = append(g.vars[number][:len(g.vars[number]):len(g.vars[number])], g.name("k"))
		g.line("%s = %s;", g.vars[number][len(g.vars[number])-1], name)
		g.inLoop()
	})
}

// count goes over a range, whose end may be known only when it runs.
func (g *generator) count() {
	if g.loops > 1 || g.nesting > 2 {
		return
	}
	name := g.name("r")
	end := fmt.Sprint(1 + g.Pick(4))
	if g.Pick(2) == 1 {
		end = "((" + g.number(1) + ") & 3)"
	}
	g.line("for (%s : %d..%s) {", name, g.Pick(2), end)
	g.block(func() {
		g.vars[number] = append(g.vars[number][:len(g.vars[number]):len(g.vars[number])], name)
		g.inLoop()
	})
}

func (g *generator) unroll() {
	if g.loops > 0 || g.nesting > 2 {
		return
	}
	g.line("unroll (%d) {", 1+g.Pick(3))
	g.block(g.inLoop)
}

// flag decides by what was just decided.
func (g *generator) flag() {
	if g.nesting > 3 {
		return
	}
	flag, with := g.name("n"), g.variable(number)
	g.line("%s = %d;", flag, g.Pick(2))
	g.line("if (%s) { %s = %d; %s = %s; }", g.number(2), flag, g.Pick(2), with, g.number(1))
	g.line("if (%s) {", flag)
	g.block(g.few)
}

// leave ends a loop or the probe, on a condition.
func (g *generator) leave() {
	how := "return"
	switch {
	case g.loops > 0 && g.Pick(3) > 0:
		how = g.of("break", "continue")
	case g.isFunction:
		how = "return " + g.number(1)
	case g.Pick(8) == 7:
		how = "exit()"
	}
	g.line("if (%s) { %s; }", g.number(2), how)
}
