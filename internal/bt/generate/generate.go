// SPDX-License-Identifier: Apache-2.0

// Package generate makes random scripts of the tracing language, for tests of what compiles,
// evaluates and loads them.
//
// Every script is well-typed, ends soon, and is one that the front end accepts and the
// verifier takes if it is compiled well. What it does does not depend on time, chance or the
// order in which the kernel keeps the keys of a map, so that two runs from the same state are
// the same. Like the programs of internal/compile/generate, whose choices it is made of, a
// script of fewer or smaller choices is a simpler one.
package generate

import (
	"fmt"
	"strings"

	choices "github.com/skep-io/skep/internal/compile/generate"
)

// MemorySize is how many bytes must be readable at the address that is the script's $1:
// numbers and texts.
const MemorySize = 128

// Probe is a place that a script can have a probe at.
type Probe struct {
	Point string // as in the text of a script
	// Words and Texts are expressions that only this probe has.
	Words, Texts []string
}

// OnDemand are the probes that need no place: they run when they are told to.
func OnDemand() []Probe { return []Probe{{Point: "BEGIN"}, {Point: "END"}} }

// Script makes the text of some choices, with probes at some of the places.
func Script(c choices.Choices, probes []Probe) string {
	g := &generator{Source: choices.NewSource(c), probes: probes}
	g.config()
	for range g.Pick(3) {
		g.function()
	}
	for i := range 2 + g.Pick(4) {
		g.maps = append(g.maps, g.newMap(i))
	}
	g.probe(probes[0])
	for !g.Over() {
		g.probe(probes[g.Pick(len(probes))])
	}
	return g.text.String()
}

// kind is a type of values.
type kind int

const (
	number kind = iota
	text
	pair // of a number and a text
	kinds
)

// generator writes a script.
type generator struct {
	*choices.Source
	text   strings.Builder
	indent int
	probes []Probe

	functions []int // numbers of parameters
	maps      []mapOf
	at        Probe
	// vars are the variables in scope, by kind.
	vars [kinds][]string
	// named counts names that were given.
	named      int
	nesting    int
	loops      int // around
	isFunction bool
	// known tells that every map was assigned to; until then none is read.
	known bool
	// budget is how many statements the probe may still have.
	budget int
}

func (g *generator) line(format string, args ...any) {
	g.text.WriteString(strings.Repeat("\t", g.indent))
	fmt.Fprintf(&g.text, format, args...)
	g.text.WriteByte('\n')
}

// of is one of some texts.
func (g *generator) of(list ...string) string { return list[g.Pick(len(list))] }

func (g *generator) config() {
	g.line("config = { max_strlen = %d; max_map_keys = %d }", []int{64, 16, 33, 100, 200, 1024}[g.Pick(6)], []int{64, 3, 8}[g.Pick(3)])
}

func (g *generator) name(prefix string) string {
	g.named++
	return fmt.Sprintf("$%s%d", prefix, g.named)
}

// function writes a function of numbers.
func (g *generator) function() {
	n := 1 + g.Pick(3)
	var params []string
	for i := range n {
		params = append(params, fmt.Sprintf("$p%d : %s", i, g.of("int64", "uint64")))
	}
	g.line("fn f%d(%s) : int64 {", len(g.functions), strings.Join(params, ", "))
	g.isFunction, g.at, g.budget = true, Probe{}, 4
	g.vars = [kinds][]string{}
	for i := range n {
		g.vars[number] = append(g.vars[number], fmt.Sprintf("$p%d", i))
	}
	g.body(func() { g.line("return %s;", g.number(2)) })
	g.isFunction = false
	g.functions = append(g.functions, n)
}

// probe writes a probe with variables of every kind.
func (g *generator) probe(p Probe) {
	g.at, g.budget, g.vars = p, 6+g.Pick(20), [kinds][]string{}
	predicate := ""
	if g.Pick(6) == 5 {
		predicate = " /(" + g.number(2) + ")/"
	}
	g.line("%s%s {", p.Point, predicate)
	g.indent++
	for k := range kinds {
		for range 1 + g.Pick(2) {
			g.declare(k)
		}
	}
	if !g.known { // every map has a type
		for _, m := range g.maps {
			g.storeTo(m)
		}
		g.known = true
	}
	g.indent--
	g.body(func() {
		g.line(`printf("%%d %%s", %s, %s);`, g.number(1), g.words(1))
	})
}

// declare makes a variable.
func (g *generator) declare(k kind) {
	name := g.name([]string{"n", "s", "t"}[k])
	value := g.value(k, 1)
	switch {
	case k == number && g.Pick(3) == 2:
		g.line("let %s : %s = %s;", name, g.integerType(), value)
	default:
		g.line("%s = %s;", name, value)
	}
	g.vars[k] = append(g.vars[k], name)
}

func (g *generator) integerType() string {
	return g.of("int64", "uint64", "uint32", "int32", "uint8", "int16", "uint16", "int8")
}

// body writes statements, what comes last, and the end of a block.
func (g *generator) body(last func()) {
	g.block(func() {
		for range 1 + g.Pick(max(1, g.budget)) {
			g.statement()
		}
		last()
	})
}

// block writes what is between braces, the first of which is there; variables of the
// inside end there.
func (g *generator) block(inside func()) {
	vars := g.vars
	g.indent++
	g.nesting++
	inside()
	g.nesting--
	g.indent--
	g.vars = vars
	g.line("}")
}
