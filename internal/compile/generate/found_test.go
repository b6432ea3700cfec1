// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"os"
	"testing"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/generate"
)

// found are the smallest programs that were compiled wrongly once, each by a function that
// builds the entry and may add others to the program.
var found = []struct {
	name  string
	build func(p *compile.Program, b *compile.Builder)
}{
	{"sign extension is an operation of its own to the assembler", func(_ *compile.Program, b *compile.Builder) {
		b.Return(b.Extend(b.Load(b.Parameter(0), 0, 8, false), 1, true))
	}},
	{"a function is left over whose call is never reached", func(p *compile.Program, b *compile.Builder) {
		inner := compile.NewBuilder("never", compile.Word)
		inner.Return(inner.Const(1))
		p.Funcs = append(p.Funcs, inner.Func)
		v := b.NewVariable(compile.Word)
		b.Write(v, b.Const(0))
		zero := b.Binary(compile.And, b.Load(b.Parameter(0), 0, 8, false), b.Const(0))
		b.If(zero, func() { b.Write(v, b.CallFunc("never")) }, nil)
		b.Return(b.Read(v))
	}},
	{"a parameter is taken from its register behind a call", func(_ *compile.Program, b *compile.Builder) {
		key := b.Slot(8)
		b.Store(key, 0, 8, b.Const(1))
		deleted := b.Call(3, compile.Word, b.Map(generate.Table), key)
		b.Return(b.Binary(compile.Add, b.Extend(deleted, 4, true), b.Load(b.Parameter(0), 8, 8, false)))
	}},
	{"a mask is dropped that the verifier needs behind a division", func(_ *compile.Program, b *compile.Builder) {
		remainder := b.Binary(compile.UMod, b.Load(b.Parameter(0), 0, 8, false), b.Const(6))
		p := b.Binary(compile.Add, b.ValueOf(generate.Out, 0), b.Binary(compile.And, remainder, b.Const(7)))
		b.Store(p, 0, 1, b.Const(1))
		b.Return(b.Load(p, 0, 1, false))
	}},
}

func TestFound(t *testing.T) {
	for _, tt := range found {
		t.Run(tt.name, func(t *testing.T) {
			var k *kernel
			if os.Geteuid() == 0 {
				k = newKernel(t)
			}
			p := &compile.Program{Maps: generate.Program(nil).Maps, Funcs: make([]*compile.Func, 1)}
			b := compile.NewBuilder("entry", compile.Word, compile.Context)
			tt.build(p, b)
			p.Funcs[0] = b.Func
			if err := difference(p, contextsOf(1), k); err != nil {
				t.Errorf("%v\n%v", err, p)
			}
		})
	}
}
