// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/compile"

// searchedInline is how long a text may be, in bytes, to be searched by code for each place.
const searchedInline = 32

// search builds strcontains() as a function that the kernel calls for each place of the
// haystack: it ends the loop where the needle is, or where the haystack ends.
func (f *lowering) search(haystack, needle value) value {
	a, b := f.inScratch(haystack), f.inScratch(needle)
	result := f.reserve(word)
	f.setShared(result, 0, f.constant(0))
	f.main.callbacks++
	name := "search" + itoa(f.main.callbacks)
	inner := &lowering{script: f.script, out: f.out, unit: f.unit, main: f.main, callback: &callback{}}
	inner.b = f.out.builder(name, compile.Word, compile.Word, compile.Word)
	inner.b.Pos = f.b.Pos
	f.main.funcs = append(f.main.funcs, inner.b.Func)
	start := inner.b.Parameter(0)
	inner.openScratch()
	inner.matchFrom(start, inner.text(a, haystack), inner.text(b, needle), inner.sameIn(result))
	f.b.Call(fnLoop, compile.Word, f.constant(int64(haystack.typ.Size)), f.b.FuncOf(name), f.constant(0), f.constant(0))
	return value{typ: int64Type, word: f.getShared(result, 0)}
}

// inScratch copies a text to scratch memory, where another function finds it.
func (f *lowering) inScratch(v value) place {
	at := f.reserve(v.typ.stored())
	if f.scratch != nil {
		f.put(at, v.typ, v)
	}
	return at
}

// text is a value at a place that another function found.
func (f *lowering) text(at place, v value) value { return value{typ: v.typ, at: f.sameIn(at)} }

// matchFrom compares the needle with the haystack from a place on, byte by byte.
func (f *lowering) matchFrom(start *compile.Value, haystack, needle value, result place) {
	a, b := f.pointer(haystack.at), f.pointer(needle.at)
	i := f.b.NewVariable(compile.Word)
	f.b.Write(i, f.constant(0))
	head, body, next := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	match, differ, ended := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.b.Jump(head)
	f.b.Enter(head)
	f.b.Branch(f.b.Binary(compile.ULess, f.b.Read(i), f.constant(int64(needle.typ.Size))), body, match)
	f.b.Seal(body)
	f.b.Enter(body)
	want := f.b.Load(f.b.Binary(compile.Add, b, f.b.Read(i)), 0, 1, false)
	f.unless(want, match)
	at := f.b.Binary(compile.Add, start, f.b.Read(i))
	f.unless(f.b.Binary(compile.ULess, at, f.constant(int64(haystack.typ.Size))), ended)
	got := f.b.Load(f.b.Binary(compile.Add, a, at), 0, 1, false)
	f.unless(got, ended)
	f.b.Branch(f.b.Binary(compile.Equal, got, want), next, differ)
	f.b.Seal(next)
	f.b.Enter(next)
	f.b.Write(i, f.b.Binary(compile.Add, f.b.Read(i), f.constant(1)))
	f.b.Jump(head)
	f.b.Seal(head)
	f.endSearch(match, 1, func() { f.setShared(result, 0, f.constant(1)) })
	f.endSearch(ended, 1, func() {})
	f.endSearch(differ, 0, func() {})
}

func (f *lowering) endSearch(block *compile.Block, stop int64, before func()) {
	f.b.Seal(block)
	f.b.Enter(block)
	before()
	f.b.Return(f.constant(stop))
}
