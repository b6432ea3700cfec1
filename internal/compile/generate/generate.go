// SPDX-License-Identifier: Apache-2.0

// Package generate makes random programs of the intermediate representation, for tests of
// what compiles, evaluates and loads them.
//
// Every program passes Check, has a defined result, ends soon, and is one that the
// verifier accepts if it is compiled well: memory is written before it is read, offsets
// are bounded by masks, loops by constants, and what a lookup gives is compared with 0.
//
// A program is a function of [Choices], a list of numbers: a shorter list, or one of
// smaller numbers, is a simpler program, which is what [Shrink] makes use of.
package generate

import (
	"math/rand/v2"

	"github.com/skep-io/skep/internal/compile"
)

// The maps of the programs: Out is an array of one value, Table a hash, Ring a ring buffer.
const (
	Out       = "out"
	OutSize   = 128
	Table     = "table"
	Ring      = "ring"
	RingSize  = 4096
	TableSize = 16 // of a value; a key has 8 bytes
	// TableKeys is how many different keys there can be.
	TableKeys = 6
	// ContextSize is how many bytes of its context a program may read, as 8-byte words.
	ContextSize = 96
)

// Choices decide what a program is. What is missing reads as 0.
type Choices []uint32

// Random are n choices.
func Random(r *rand.Rand, n int) Choices {
	c := make(Choices, n)
	for i := range c {
		c[i] = r.Uint32()
	}
	return c
}

// Program makes the program of some choices.
func Program(c Choices) *compile.Program {
	g := &generator{Source: NewSource(c), program: &compile.Program{Maps: map[string]compile.MapShape{
		Out:   {KeySize: 4, ValueSize: OutSize},
		Table: {KeySize: 8, ValueSize: TableSize},
		Ring:  {},
	}}}
	g.program.Funcs = append(g.program.Funcs, nil)
	g.program.Funcs[0] = g.entry()
	return g.program
}

// Source is choices that are taken one by one.
type Source struct {
	choices Choices
	at      int
}

// NewSource begins with the first.
func NewSource(c Choices) *Source { return &Source{choices: c} }

// Pick is a number below n.
func (s *Source) Pick(n int) int { return int(s.Raw() % uint32(n)) }

// Over tells that all are taken.
func (s *Source) Over() bool { return s.at >= len(s.choices) }

// Raw is all 32 bits of a choice.
func (s *Source) Raw() uint32 {
	if s.Over() {
		return 0
	}
	s.at++
	return s.choices[s.at-1]
}

type generator struct {
	*Source
	program *compile.Program
}

// area is memory that is all written.
type area struct {
	p    *compile.Value
	size int
	// same is what other areas have that are the same memory.
	same *compile.Value
}

// body is a function that is being made.
type body struct {
	*generator
	*compile.Builder
	words []*compile.Value
	vars  []compile.Variable
	areas []area
	// ends are the blocks behind the loops around.
	ends      []*compile.Block
	nesting   int
	isEntry   bool
	mayChange bool // the table: not where somebody holds a pointer into it
	callees   []*compile.Func
	// isCallback says that only 0 and 1 may be returned.
	isCallback bool
}

func (g *generator) entry() *compile.Func {
	f := &body{generator: g, Builder: compile.NewBuilder("entry", compile.Word, compile.Context), isEntry: true, mayChange: true}
	context := f.Parameter(0)
	f.Pos = compile.Pos{Line: 1, Column: 1}
	for range 1 + f.Pick(5) {
		f.words = append(f.words, f.Load(context, int64(8*f.Pick(ContextSize/8)), 8, false))
	}
	for range f.Pick(4) {
		f.variable()
	}
	out := f.ValueOf(Out, 0)
	f.areas = append(f.areas, area{out, OutSize, out})
	for !f.Over() {
		f.statement()
	}
	f.digest()
	return f.Func
}

// digest leaves all that there is in Out, and returns a hash of it.
func (f *body) digest() {
	sum, n := f.Const(7), 0
	add := func(w *compile.Value) {
		if f.isEntry && n < OutSize/16 {
			f.Store(f.areas[0].p, int64(OutSize/2+8*n), 8, w)
		}
		n++
		sum = f.Binary(compile.Xor, f.Binary(compile.Mul, sum, f.Const(31)), w)
	}
	for _, w := range f.words {
		add(w)
	}
	for _, v := range f.vars {
		add(f.Read(v))
	}
	for _, a := range f.areas[min(1, len(f.areas)):] {
		for offset := 0; offset+8 <= a.size; offset += 8 {
			add(f.Load(a.p, int64(offset), 8, false))
		}
	}
	f.Return(sum)
}

func (f *body) variable() {
	v := f.NewVariable(compile.Word)
	f.Write(v, f.word())
	f.vars = append(f.vars, v)
}

// word is one that is there.
func (f *body) word() *compile.Value {
	switch n := f.Pick(6); {
	case n == 0:
		return f.Const(f.number())
	case n == 1 && len(f.vars) > 0:
		return f.Read(f.vars[f.Pick(len(f.vars))])
	case len(f.words) > 0:
		return f.words[len(f.words)-1-f.Pick(len(f.words))]
	}
	return f.Const(f.number())
}

// number is mostly one of those where mistakes show.
func (f *body) number() int64 {
	special := []int64{
		0, 1, 2, -1, 3, 5, 7, 8, 10, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, -128, 1000, 0xffff, 1 << 31, 1<<31 - 1, -1 << 31, 1 << 32, 1<<32 - 1,
		-1 << 63, 1<<63 - 1, -2,
	}
	switch n := f.Pick(len(special) + 4); {
	case n < len(special):
		return special[n]
	case n == len(special):
		return int64(f.Raw())<<32 | int64(f.Raw())
	default:
		return int64(int32(f.Raw()))
	}
}

// A function keeps so many words and areas at once: more would not have room in its frame.
const (
	maxWords = 20
	maxAreas = 7
)

func (f *body) keep(w *compile.Value) {
	if f.nesting == 0 && len(f.words) >= maxWords {
		f.words[f.Pick(len(f.words))] = w
		return
	}
	f.words = append(f.words, w)
}

func (f *body) keepArea(a area) {
	if len(f.areas) < maxAreas {
		f.areas = append(f.areas, a)
	}
}

// scope forgets what was made inside, which does not reach what comes behind it.
func (f *body) scope(inside func()) {
	words, areas, vars := len(f.words), len(f.areas), len(f.vars)
	f.nesting++
	inside()
	f.nesting--
	f.words, f.areas, f.vars = f.words[:words], f.areas[:areas], f.vars[:vars]
}

// block is a few statements.
func (f *body) statements() {
	for range f.Pick(5) {
		if f.Reachable() {
			f.statement()
		}
	}
}
