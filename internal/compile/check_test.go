// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"strings"
	"testing"
)

// TestCheckRefuses gives Check programs with one fault each.
func TestCheckRefuses(t *testing.T) {
	for _, c := range faults {
		t.Run(c.want, func(t *testing.T) {
			b := NewBuilder("entry", Word, Context)
			p := &Program{Maps: map[string]MapShape{"counts": {8, 8, false}}}
			c.build(b, p)
			if b.Reachable() {
				b.Return(b.Const(0))
			}
			p.Funcs = append([]*Func{b.Func}, p.Funcs...)
			err := p.Check()
			if err == nil {
				t.Fatalf("passes:\n%s", p)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant: %s", err, c.want)
			}
		})
	}
}

var faults = []struct {
	want  string
	build func(b *Builder, p *Program)
}{
	{"not defined on every way", func(b *Builder, _ *Program) {
		var x *Value
		b.If(b.Load(b.Parameter(0), 0, 8, false), func() { x = b.Const(1) }, nil)
		b.Return(b.Binary(Add, x, x))
	}},
	{"where it is not defined", func(b *Builder, _ *Program) {
		var x *Value
		b.If(b.Load(b.Parameter(0), 0, 8, false), func() { x = b.Const(1) }, nil)
		b.Block().Values = append(b.Block().Values, b.Value(Value{Op: Phi, Type: Word, Args: []*Value{x, x}}))
		b.Block().Values = b.Block().Values[1:]
	}},
	{"operands for 2 predecessors", func(b *Builder, _ *Program) {
		b.If(b.Load(b.Parameter(0), 0, 8, false), func() {}, nil)
		b.Value(Value{Op: Phi, Type: Word, Args: []*Value{b.Func.Blocks[0].Values[0]}})
	}},
	{"comes behind a value that is no phi", func(b *Builder, _ *Program) {
		b.Const(1)
		b.Value(Value{Op: Phi, Type: Word})
	}},
	{"has no exit", func(b *Builder, _ *Program) { b.Seal(b.NewBlock()) }},
	{"was not sealed", func(b *Builder, _ *Program) {
		dead := b.NewBlock()
		dead.Exit, dead.Control = Return, b.Const(0)
	}},
	{"needs a value", func(b *Builder, _ *Program) { b.Return(nil) }},
	{"do not agree", func(b *Builder, _ *Program) {
		b.If(b.Load(b.Parameter(0), 0, 8, false), func() {}, nil)
		b.Block().Preds = b.Block().Preds[:1]
	}},
	{"operands and takes 2", func(b *Builder, _ *Program) { b.Value(Value{Op: Add, Type: Word, Args: []*Value{b.Const(1)}}) }},
	{"is not for operands of types word and context", func(b *Builder, _ *Program) { b.Binary(Add, b.Const(1), b.Parameter(0)) }},
	{"is not for operands of types context and word", func(b *Builder, _ *Program) { b.Binary(Mul, b.Parameter(0), b.Const(1)) }},
	{"is not for operands of types context and word", func(b *Builder, _ *Program) { b.Binary(ULess, b.Parameter(0), b.Const(1)) }},
	{"which may be 0", func(b *Builder, _ *Program) {
		v := b.Call(1, NullableMapValue, b.Map("counts"), b.Slot(8))
		b.Binary(Add, v, b.Const(8))
	}},
	{"of type mapvalue?", func(b *Builder, _ *Program) {
		b.Load(b.Call(1, NullableMapValue, b.Map("counts"), b.Slot(8)), 0, 8, false)
	}},
	{"not every way to it compares", func(b *Builder, _ *Program) {
		v := b.Call(1, NullableMapValue, b.Map("counts"), b.Slot(8))
		b.Value(Value{Op: NonNull, Type: MapValue, Args: []*Value{v}})
	}},
	{"has the width 3", func(b *Builder, _ *Program) { b.Load(b.Parameter(0), 0, 3, false) }},
	{"has the width 2", func(b *Builder, _ *Program) { b.AtomicAdd(b.Slot(8), 0, 2, b.Const(1)) }},
	{"no 16-bit offset", func(b *Builder, _ *Program) { b.Load(b.Parameter(0), 1<<15, 8, false) }},
	{"writes 4 bytes of a context", func(b *Builder, _ *Program) { b.Store(b.Slot(8), 0, 4, b.Parameter(0)) }},
	{"has 0 bytes", func(b *Builder, _ *Program) { b.Slot(0) }},
	{"a map that the program has not", func(b *Builder, _ *Program) { b.Map("none") }},
	{"outside of the 8 bytes", func(b *Builder, _ *Program) { b.ValueOf("counts", 8) }},
	{"a function that the program has not", func(b *Builder, _ *Program) { b.CallFunc("none") }},
	{"calls the entry", func(b *Builder, _ *Program) { b.CallFunc("entry", b.Parameter(0)) }},
	{"leads back to it", func(b *Builder, p *Program) {
		b.CallFunc("f")
		f := NewBuilder("f", Word)
		f.Return(f.CallFunc("f"))
		p.Funcs = append(p.Funcs, f.Func)
	}},
	{"operands for 1 parameters", func(b *Builder, p *Program) {
		b.CallFunc("f")
		f := NewBuilder("f", Word, Word)
		f.Return(f.Parameter(0))
		p.Funcs = append(p.Funcs, f.Func)
	}},
	{"at most 5 are passed", func(b *Builder, _ *Program) {
		x := b.Const(1)
		b.Call(5, Word, x, x, x, x, x, x)
	}},
	{"takes the context, a map and a word", func(b *Builder, _ *Program) {
		b.Value(Value{Op: TailCall, Args: []*Value{b.Parameter(0), b.Const(1), b.Const(1)}})
	}},
	{"which has no result", func(b *Builder, _ *Program) {
		s := b.Slot(8)
		b.Store(s, 0, 8, b.Const(1))
		b.Binary(Add, b.Block().Values[len(b.Block().Values)-1], b.Const(1))
	}},
	{"two of this name", func(b *Builder, p *Program) {
		other := NewBuilder("entry", Word)
		other.Return(other.Const(0))
		p.Funcs = append(p.Funcs, other.Func)
	}},
}
