// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"math/rand/v2"
)

// outSize is the bytes of map "out", where random programs leave what they found.
const outSize = 64

// randomProgram builds programs that terminate, read nothing undefined and do what the
// verifier allows.
type randomProgram struct {
	*Builder
	rand  *rand.Rand
	ctx   *Value
	vars  []Variable
	slots []*Value
	left  int // statements
	depth int // of ifs and loops
}

func newRandom(seed uint64, size int) *Program {
	r := rand.New(rand.NewPCG(seed, 1))
	p := &Program{Maps: map[string]MapShape{"out": {4, outSize, false}, "table": {8, 8, false}}}
	entry := newRandomFunc(r, NewBuilder("entry", Word, Context), size)
	p.Funcs = append(p.Funcs, entry)
	p.Funcs = append(p.Funcs, newRandomFunc(r, NewBuilder("sub", Word, Word, Word, Stack), size/3))
	return p
}

func newRandomFunc(r *rand.Rand, b *Builder, size int) *Func {
	g := &randomProgram{Builder: b, rand: r, left: size}
	var words []*Value
	for i, t := range b.Func.Params {
		v := b.Parameter(i)
		switch t {
		case Context:
			g.ctx = v
		case Stack:
			words = append(words, b.Load(v, 0, 8, false))
		default:
			words = append(words, v)
		}
	}
	for range 3 + r.IntN(10) {
		v := b.NewVariable(Word)
		switch {
		case g.ctx != nil:
			b.Write(v, b.Load(g.ctx, 8*int64(r.IntN(8)), 8, false))
		default:
			b.Write(v, words[r.IntN(len(words))])
		}
		g.vars = append(g.vars, v)
	}
	g.Pos = Pos{Line: 1, Column: 1}
	for g.left > 0 {
		g.statement()
	}
	sum := b.Const(1)
	for _, v := range g.vars {
		sum = b.Binary(Add, b.Binary(Mul, sum, b.Const(31)), b.Read(v))
	}
	b.Return(sum)
	return b.Func
}

func (g *randomProgram) variable() Variable { return g.vars[g.rand.IntN(len(g.vars))] }
func (g *randomProgram) read() *Value       { return g.Read(g.variable()) }

func (g *randomProgram) constant() *Value {
	special := []int64{0, 1, -1, 2, 7, 8, 63, 64, 255, 256, 1 << 16, 1<<31 - 1, 1 << 31, -1 << 31, 1 << 32, 1<<32 - 1, 1<<63 - 1, -1 << 63}
	if g.rand.IntN(3) == 0 {
		return g.Const(int64(g.rand.Uint64()))
	}
	return g.Const(special[g.rand.IntN(len(special))])
}

func (g *randomProgram) expression(depth int) *Value {
	switch n := g.rand.IntN(12); {
	case depth == 0 || n < 2:
		return g.read()
	case n < 4:
		return g.constant()
	case n < 5:
		widths := []int{1, 2, 4, 8}
		return g.Extend(g.expression(depth-1), widths[g.rand.IntN(4)], g.rand.IntN(2) == 0)
	case n < 6:
		return g.Value(Value{Op: Swap, Type: Word, Width: 2 << g.rand.IntN(3), Args: []*Value{g.expression(depth - 1)}})
	case n < 7:
		return g.compare(depth - 1)
	}
	op := Add + Op(g.rand.IntN(int(AShr-Add)+1))
	return g.Binary(op, g.expression(depth-1), g.expression(depth-1))
}

func (g *randomProgram) compare(depth int) *Value {
	op := Equal + Op(g.rand.IntN(int(SLessEqual-Equal)+1))
	x := g.expression(depth)
	if g.rand.IntN(3) == 0 {
		x = g.Binary(And, x, g.constant())
	}
	y := g.constant()
	if g.rand.IntN(3) == 0 {
		y = g.expression(depth)
	}
	return g.Binary(op, x, y)
}

func (g *randomProgram) statement() {
	g.left--
	g.Pos.Line++
	switch n := g.rand.IntN(16); {
	case n < 5:
		g.Write(g.variable(), g.expression(3))
	case n < 7 && g.depth < 4:
		g.choose()
	case n < 8 && g.depth < 2:
		g.repeat()
	case n < 10:
		g.memory()
	case n < 11:
		g.out()
	case n < 12:
		g.lookup()
		g.lookup()
	case n < 13:
		g.update()
	case n < 14 && g.ctx != nil:
		s := g.slot()
		g.Write(g.variable(), g.CallFunc("sub", g.read(), g.expression(1), s))
	case n < 15 && g.depth < 4:
		g.shortCircuit()
	default:
		g.Write(g.variable(), g.Call(14, Word))
	}
}

func (g *randomProgram) body() func() {
	return func() {
		g.depth++
		slots := g.slots
		for range 1 + g.rand.IntN(3) {
			g.statement()
		}
		g.slots = slots[:len(slots):len(slots)]
		g.depth--
	}
}

func (g *randomProgram) choose() {
	var otherwise func()
	if g.rand.IntN(2) == 0 {
		otherwise = g.body()
	}
	g.If(g.compare(2), g.body(), otherwise)
}

// shortCircuit is x && y, made of branches and a variable.
func (g *randomProgram) shortCircuit() {
	v := g.NewVariable(Word)
	g.Write(v, g.Const(0))
	g.If(g.compare(1), func() { g.Write(v, g.compare(1)) }, nil)
	g.If(g.Binary(NotEqual, g.Read(v), g.Const(0)), g.body(), nil)
}

func (g *randomProgram) repeat() {
	i := g.NewVariable(Word)
	g.Write(i, g.Const(0))
	head, body, after := g.NewBlock(), g.NewBlock(), g.NewBlock()
	g.Jump(head)
	g.Enter(head)
	g.Branch(g.Binary(ULess, g.Read(i), g.Const(int64(1+g.rand.IntN(4)))), body, after)
	g.Seal(body)
	g.Enter(body)
	g.body()()
	g.Write(i, g.Binary(Add, g.Read(i), g.Const(1)))
	g.Jump(head)
	g.Seal(head)
	g.Seal(after)
	g.Enter(after)
}

// slot is one that is there, or a new one, defined all over.
func (g *randomProgram) slot() *Value {
	if len(g.slots) > 0 && g.rand.IntN(3) > 0 || len(g.slots) > 4 {
		return g.slots[g.rand.IntN(len(g.slots))]
	}
	s := g.Slot(8)
	if g.rand.IntN(2) == 0 {
		g.Zero(s, 0, 8)
	} else {
		g.Store(s, 0, 8, g.read())
	}
	g.slots = append(g.slots, s)
	return s
}

func (g *randomProgram) memory() {
	s := g.slot()
	width := 1 << g.rand.IntN(4)
	off := int64(width * g.rand.IntN(8/width))
	switch g.rand.IntN(5) {
	case 0:
		g.Write(g.variable(), g.Load(s, off, width, g.rand.IntN(2) == 0))
	case 1:
		if to := g.slot(); to != s {
			g.Copy(to, 0, s, 1+g.rand.IntN(8))
		}
	case 2:
		g.AtomicAdd(s, 0, 8, g.read())
	case 3:
		g.Zero(s, off, width)
	default:
		g.Store(s, off, width, g.expression(1))
	}
}

func (g *randomProgram) out() {
	width := 1 << g.rand.IntN(4)
	p := g.ValueOf("out", int64(width*g.rand.IntN(outSize/width)))
	switch g.rand.IntN(3) {
	case 0:
		g.Write(g.variable(), g.Load(p, 0, width, g.rand.IntN(2) == 0))
	case 1:
		g.Store(p, 0, width, g.expression(1))
	default:
		if width < 4 {
			width = 8
			p = g.ValueOf("out", 8)
		}
		g.AtomicAdd(p, 0, width, g.read())
	}
}

// keyWord is often the same, so that lookups meet what was done before.
func (g *randomProgram) keyWord() *Value {
	if g.rand.IntN(3) > 0 {
		return g.Binary(And, g.Read(g.vars[0]), g.Const(3))
	}
	return g.Binary(And, g.read(), g.Const(3))
}

func (g *randomProgram) lookup() {
	key := g.Slot(8)
	g.Store(key, 0, 8, g.keyWord())
	p := g.Call(1, NullableMapValue, g.Map("table"), key)
	v := g.variable()
	before := g.expression(2)
	g.If(g.Binary(NotEqual, p, g.Const(0)), func() {
		there := g.Value(Value{Op: NonNull, Type: MapValue, Args: []*Value{p}})
		g.Store(there, 0, 8, g.Binary(Add, g.Load(there, 0, 8, false), before))
		g.Write(v, g.Load(there, 0, 4, true))
	}, nil)
}

func (g *randomProgram) update() {
	key, value := g.Slot(8), g.Slot(8)
	g.Zero(key, 0, 8)
	g.Store(key, 0, 8, g.keyWord())
	if g.rand.IntN(4) == 0 {
		g.Call(3, Word, g.Map("table"), key)
		return
	}
	g.Store(value, 0, 8, g.expression(1))
	g.Call(2, Word, g.Map("table"), key, value, g.Const(0))
}
