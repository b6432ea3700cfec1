// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

func (f *lowering) forLoop(s *syntax.For) {
	if s.To != nil {
		f.forRange(s)
		return
	}
	f.forMap(s)
}

// mostCounted is how many turns of a loop, and of those inside of it, the verifier is made to
// follow one by one.
const mostCounted = 100

// deepestCounted is how many of them may be inside of each other.
const deepestCounted = 5

// forRange builds for ($i : from..to). The loop counts by itself: what the body assigns to
// the variable does not change how often it runs. Where the verifier could not see that it
// ends soon, the kernel counts, by the helper loop.
func (f *lowering) forRange(s *syntax.For) {
	from, fixedFrom := constantOf(s.From)
	to, fixedTo := constantOf(s.To)
	few := fixedFrom && fixedTo && to-from <= mostCounted && (to-from)*turnsIn(s.Body, 0) <= mostCounted
	if few || !f.host.Helper(fnLoop, f.unit.kind) {
		f.countHere(s)
		return
	}
	first, end := f.number(f.eval(s.From)), f.number(f.eval(s.To))
	base := f.reserve(word)
	f.setShared(base, 0, first)
	// Nothing is called where there is nothing to count: a verifier that knows that the
	// helper would call the body 0 times (6.18) drops the body and then fails for want of it.
	f.b.If(f.b.Binary(compile.SLess, first, end), func() {
		runs := f.b.Binary(compile.Sub, end, first)
		f.callEach(s, []compile.Type{compile.Word, compile.Stack}, func(inner *lowering, params []*compile.Value) {
			n := inner.b.Binary(compile.Add, inner.getShared(inner.sameIn(base), 0), params[0])
			inner.write(f.unit.vars[s], value{typ: int64Type, word: n})
		}, func(name string, context *compile.Value) {
			f.b.Call(fnLoop, compile.Word, runs, f.b.FuncOf(name), context, f.constant(0))
		})
	}, nil)
}

// turnsIn is how often what is inside of a body runs at most, by the ranges that are known.
func turnsIn(body *syntax.Block, depth int) int64 {
	if depth > deepestCounted {
		return mostCounted + 1
	}
	most := int64(1)
	syntaxWalk(body, func(n syntax.Node) {
		inner, ok := n.(*syntax.For)
		if !ok || inner.To == nil {
			return
		}
		from, fixedFrom := constantOf(inner.From)
		to, fixedTo := constantOf(inner.To)
		if fixedFrom && fixedTo && to-from <= mostCounted {
			most = max(most, (to-from)*turnsIn(inner.Body, depth+1))
		}
	})
	return most
}

// countHere builds a range as a loop with an edge back.
func (f *lowering) countHere(s *syntax.For) {
	count := f.b.NewVariable(compile.Word)
	f.b.Write(count, f.number(f.eval(s.From)))
	end := f.number(f.eval(s.To))
	head, body, next, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.b.Jump(head)
	f.b.Enter(head)
	f.b.Branch(f.b.Binary(compile.SLess, f.b.Read(count), end), body, after)
	f.b.Seal(body)
	f.b.Enter(body)
	f.write(f.unit.vars[s], value{typ: int64Type, word: f.b.Read(count)})
	f.within(&loopTargets{next: next, after: after}, s.Body)
	f.b.Jump(next)
	f.b.Seal(next)
	f.b.Enter(next)
	f.b.Write(count, f.b.Binary(compile.Add, f.b.Read(count), f.constant(1)))
	f.b.Jump(head)
	f.b.Seal(head)
	f.b.Seal(after)
	f.b.Enter(after)
}

// callback is what the body of a loop over a map, a function of its own, shares with the
// function around it, in scratch memory:
//
//	0: 1 if the loop ended by return   8: what was returned
//	16: the variables that are words, one behind the other
//
// They are not in the frame, where the verifier would follow the value of each through
// every turn of the loop and never find one that is like the last.
type callback struct {
	shared place
	order  []*variable
}

const (
	sharedReturn = 0
	sharedResult = 8
	sharedWords  = 16
)

// reserve takes bytes of scratch memory for the rest of the program.
func (f *lowering) reserve(size int) place {
	at := f.main.persistent + f.main.temporary
	f.main.temporary += size
	f.main.mostScratch = max(f.main.mostScratch, at+size)
	if f.scratch == nil {
		return place{base: f.b.Slot(size)} // in the first of two passes only
	}
	return place{base: f.scratch, offset: int64(at)}
}

func (f *lowering) setShared(shared place, at int, w *compile.Value) {
	f.b.Store(shared.base, shared.offset+int64(at), word, w)
}

func (f *lowering) getShared(shared place, at int) *compile.Value {
	return f.b.Load(shared.base, shared.offset+int64(at), word, false)
}

// forMap builds for ($kv : @map): the helper for_each_map_elem calls the body.
func (f *lowering) forMap(s *syntax.For) {
	info := f.maps[s.From.(*syntax.Map).Name]
	params := []compile.Type{compile.Map, compile.MapValue, compile.MapValue, compile.Stack}
	f.callEach(s, params, func(inner *lowering, params []*compile.Value) {
		inner.bindPair(f.unit.vars[s], info, params[1], params[2])
	}, func(name string, context *compile.Value) {
		f.b.Call(fnForEach, compile.Word, f.mapValue(info), f.b.FuncOf(name), context, f.constant(0))
	})
}

// callEach makes a function of a loop's body, which bind gives its variable, and calls the
// helper that calls it. The function's last parameter is where in the frame the address of
// the program's context is.
func (f *lowering) callEach(s *syntax.For, params []compile.Type, bind func(*lowering, []*compile.Value),
	call func(name string, context *compile.Value)) {
	order := f.sharedVariables(s)
	shared := f.reserve(sharedWords + len(order)*word)
	f.setShared(shared, sharedReturn, f.constant(0))
	f.setShared(shared, sharedResult, f.constant(0))
	for i, v := range order {
		f.setShared(shared, sharedWords+i*word, f.b.Read(f.words[v]))
	}
	context := f.b.Slot(word)
	if f.ctx != nil {
		f.b.Store(context, 0, word, f.ctx)
	}
	call(f.callbackFor(s, &callback{shared: shared, order: order}, params, bind), context)
	for i, v := range order {
		f.b.Write(f.words[v], f.getShared(shared, sharedWords+i*word))
	}
	f.passReturn(shared)
}

// passReturn returns from here too if the body of a loop did.
func (f *lowering) passReturn(shared place) {
	returned, on := f.b.NewBlock(), f.b.NewBlock()
	f.b.Branch(f.getShared(shared, sharedReturn), returned, on)
	f.b.Seal(returned)
	f.b.Seal(on)
	f.b.Enter(returned)
	result := f.getShared(shared, sharedResult)
	if f.callback != nil {
		f.returnFromCallback(result)
	} else {
		f.b.Return(result)
	}
	f.b.Enter(on)
}

// sharedVariables are the words that the body of a loop reads or writes and that exist
// outside of it.
func (f *lowering) sharedVariables(s *syntax.For) []*variable {
	used := map[*variable]bool{}
	syntaxWalk(s.Body, func(n syntax.Node) {
		if v := f.unit.vars[n]; v != nil {
			used[v] = true
		}
	})
	var order []*variable
	for _, v := range f.unit.variables {
		if _, isWord := f.words[v]; isWord && used[v] && v != f.unit.vars[s] {
			order = append(order, v)
		}
	}
	return order
}

// callbackFor builds the body of a loop as a function.
func (f *lowering) callbackFor(s *syntax.For, outer *callback, params []compile.Type, bind func(*lowering, []*compile.Value)) string {
	f.main.callbacks++
	name := "each" + itoa(f.main.callbacks)
	inner := &lowering{script: f.script, out: f.out, unit: f.unit, main: f.main, words: map[*variable]compile.Variable{}}
	b := f.out.builder(name, compile.Word, params...)
	b.Pos, inner.b = s.Pos, b
	f.main.funcs = append(f.main.funcs, b.Func)
	var values []*compile.Value
	for i := range params {
		values = append(values, b.Parameter(i))
	}
	if f.ctx != nil {
		inner.ctx = b.LoadPtr(values[len(values)-1], 0, compile.Context)
	}
	inner.callback = outer
	inner.openScratch()
	inner.callback = &callback{shared: inner.sameIn(outer.shared), order: outer.order}
	inner.declareVariables()
	for i, v := range outer.order {
		b.Write(inner.words[v], inner.getShared(inner.callback.shared, sharedWords+i*word))
	}
	bind(inner, values)
	inner.block(s.Body)
	if b.Reachable() {
		inner.endCallback(0)
	} else {
		b.Return(b.Const(0)) // what exit() leaves behind has an end too
	}
	return name
}

// sameIn is a place in scratch memory of another function, by this one's pointer.
func (f *lowering) sameIn(p place) place {
	if f.scratch == nil {
		return place{base: f.b.Slot(largestFrame)} // in the first of two passes only
	}
	return place{base: f.scratch, offset: p.offset}
}

// bindPair gives the variable of the loop its key and value.
func (f *lowering) bindPair(v *variable, info *mapInfo, key, val *compile.Value) {
	if v.typ.Kind != Tuple {
		return
	}
	at := f.placeOf(v)
	f.put(at, v.typ.Fields[0].Type, f.part(place{base: key}, info.key))
	second := v.typ.Fields[1]
	if info.value.isAggregate() {
		total := f.totalOf(info, key)
		f.put(at.plus(second.Offset), second.Type, value{typ: second.Type, word: total})
		return
	}
	f.put(at.plus(second.Offset), second.Type, f.part(place{base: val}, info.value))
}

// endCallback gives the variables back and returns: 1 ends the loop.
func (f *lowering) endCallback(stop int64) {
	for i, v := range f.callback.order {
		f.setShared(f.callback.shared, sharedWords+i*word, f.b.Read(f.words[v]))
	}
	f.b.Return(f.constant(stop))
}

func (f *lowering) returnFromCallback(result *compile.Value) {
	f.setShared(f.callback.shared, sharedReturn, f.constant(1))
	f.setShared(f.callback.shared, sharedResult, result)
	f.endCallback(1)
}
