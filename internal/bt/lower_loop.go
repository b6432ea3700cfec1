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

// forRange builds for ($i : from..to). The loop counts by itself: what the body assigns to
// the variable does not change how often it runs.
func (f *lowering) forRange(s *syntax.For) {
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

// callback is what the body of a loop over a map, a function of its own, has of the
// function around it: a structure in that one's frame.
//
//	0: context   8: 1 if the loop ended by return   16: what was returned
//	24: the variables that are words, one behind the other
type callback struct {
	shared *compile.Value
	order  []*variable
}

const (
	sharedContext = 0
	sharedReturn  = 8
	sharedResult  = 16
	sharedWords   = 24
)

// forMap builds for ($kv : @map): the helper for_each_map_elem calls the body.
func (f *lowering) forMap(s *syntax.For) {
	m := s.From.(*syntax.Map)
	info := f.maps[m.Name]
	order := f.sharedVariables(s)
	shared := f.b.Slot(sharedWords + len(order)*word)
	f.b.Store(shared, sharedContext, word, f.ctx)
	f.b.Store(shared, sharedReturn, word, f.constant(0))
	f.b.Store(shared, sharedResult, word, f.constant(0))
	for i, v := range order {
		f.b.Store(shared, sharedWords+int64(i*word), word, f.b.Read(f.words[v]))
	}
	name := f.callbackFor(s, info, order)
	f.b.Call(fnForEach, compile.Word, f.mapValue(info), f.b.FuncOf(name), shared, f.constant(0))
	for i, v := range order {
		f.b.Write(f.words[v], f.b.Load(shared, sharedWords+int64(i*word), word, false))
	}
	f.passReturn(shared)
}

// passReturn returns from here too if the body of a loop did.
func (f *lowering) passReturn(shared *compile.Value) {
	returned, on := f.b.NewBlock(), f.b.NewBlock()
	flag := f.b.Load(shared, sharedReturn, word, false)
	f.b.Branch(f.b.Binary(compile.NotEqual, flag, f.constant(0)), returned, on)
	f.b.Seal(returned)
	f.b.Seal(on)
	f.b.Enter(returned)
	result := f.b.Load(shared, sharedResult, word, false)
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

// callbackFor builds the body of a loop over a map as a function.
func (f *lowering) callbackFor(s *syntax.For, info *mapInfo, order []*variable) string {
	f.main.callbacks++
	name := "each" + itoa(f.main.callbacks)
	inner := &lowering{script: f.script, out: f.out, unit: f.unit, main: f.main, words: map[*variable]compile.Variable{}}
	b := compile.NewBuilder(name, compile.Word, compile.Map, compile.MapValue, compile.MapValue, compile.Stack)
	b.Pos = s.Pos
	inner.b = b
	f.main.funcs = append(f.main.funcs, b.Func)
	key, val := b.Parameter(1), b.Parameter(2)
	inner.callback = &callback{shared: b.Parameter(3), order: order}
	inner.ctx = b.LoadPtr(inner.callback.shared, sharedContext, compile.Context)
	inner.openScratch()
	inner.declareVariables()
	for i, v := range order {
		b.Write(inner.words[v], b.Load(inner.callback.shared, sharedWords+int64(i*word), word, false))
	}
	inner.bindPair(f.unit.vars[s], info, key, val)
	inner.block(s.Body)
	if b.Reachable() {
		inner.endCallback(0)
	}
	return name
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
		f.b.Store(f.callback.shared, sharedWords+int64(i*word), word, f.b.Read(f.words[v]))
	}
	f.b.Return(f.constant(stop))
}

func (f *lowering) returnFromCallback(result *compile.Value) {
	f.b.Store(f.callback.shared, sharedReturn, word, f.constant(1))
	f.b.Store(f.callback.shared, sharedResult, word, result)
	f.endCallback(1)
}
