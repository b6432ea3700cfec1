// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// misplaced is what an aggregate function is outside of an assignment, which the checker
// refuses.
func (f *lowering) misplaced(*syntax.Call) value { return value{typ: int64Type, word: f.constant(0)} }

// aggregate builds @m[k] = count() and its like: on the value of this processor, where it
// is, so that nothing is looked up twice or copied.
func (f *lowering) aggregate(info *mapInfo, m *syntax.Map, call *syntax.Call) {
	var n *compile.Value
	if len(call.Args) > 0 {
		n = f.number(f.eval(call.Args[0]))
	} else {
		n = f.constant(1)
	}
	key := f.key(info, m.Key)
	switch t := info.value; t.Kind {
	case HistogramOf:
		f.bucket(info, key, histogramIndex(f, n, t.Bits))
	case LinearHistogramOf:
		f.bucket(info, key, linearIndex(f, n, t))
	case MinOf, MaxOf:
		f.extreme(info, key, n)
	case AvgOf, StatsOf:
		f.accumulate(info, key, n, f.constant(1))
	default:
		f.accumulate(info, key, n)
	}
}

// accumulate adds words to those of a value, or makes a value of them.
func (f *lowering) accumulate(info *mapInfo, key *compile.Value, words ...*compile.Value) {
	f.present(info, key, func(p *compile.Value) {
		for i, w := range words {
			f.addTo(p, int64(i*word), w)
		}
	}, func() {
		if info.kind() == PerCPUArray {
			return // its keys are always there
		}
		f.insert(info, key, words...)
	})
}

func (f *lowering) addTo(p *compile.Value, offset int64, w *compile.Value) {
	f.b.Store(p, offset, word, f.b.Binary(compile.Add, f.b.Load(p, offset, word, false), w))
}

func (f *lowering) insert(info *mapInfo, key *compile.Value, words ...*compile.Value) {
	slot := f.b.Slot(len(words) * word)
	for i, w := range words {
		f.b.Store(slot, int64(i*word), word, w)
	}
	f.update(info, key, slot, 0)
}

// extreme keeps the smaller or larger: the value is the extreme, and 1 once there is one.
func (f *lowering) extreme(info *mapInfo, key, n *compile.Value) {
	less := compile.ULess
	if info.value.Signed {
		less = compile.SLess
	}
	f.present(info, key, func(p *compile.Value) {
		store, on := f.b.NewBlock(), f.b.NewBlock()
		seen := f.b.NewBlock()
		f.b.Branch(f.b.Load(p, word, word, false), seen, store)
		f.b.Seal(seen)
		f.b.Enter(seen)
		old := f.b.Load(p, 0, word, false)
		if info.value.Kind == MinOf {
			f.b.Branch(f.b.Binary(less, n, old), store, on)
		} else {
			f.b.Branch(f.b.Binary(less, old, n), store, on)
		}
		f.arm(store, on, func() {
			f.b.Store(p, 0, word, n)
			f.b.Store(p, word, word, f.constant(1))
		})
		f.b.Seal(on)
		f.b.Enter(on)
	}, func() { f.insert(info, key, n, f.constant(1)) })
}

// bucket counts in one bucket of a histogram.
func (f *lowering) bucket(info *mapInfo, key, index *compile.Value) {
	buckets := int64(info.value.Size / word)
	offset := f.b.Binary(compile.Shl, f.bounded(index, buckets), f.constant(3))
	add := func(p *compile.Value) { f.addTo(f.b.Binary(compile.Add, p, offset), 0, f.constant(1)) }
	f.present(info, key, add, func() {
		f.update(info, key, f.zeros(info.value.Size), ifMissing)
		f.present(info, key, add, f.countFull)
	})
}

// histogramIndex is the bucket of a number: 0 if it is negative; then one for each number
// below 2^bits; then 2^bits for each power of two, by the bits behind the highest.
func histogramIndex(f *lowering, n *compile.Value, bits int) *compile.Value {
	v := f.b.NewVariable(compile.Word)
	f.b.Write(v, f.constant(0))
	f.b.If(f.b.Binary(compile.SLess, n, f.constant(0)), func() {}, func() {
		small := f.b.Binary(compile.ULess, n, f.constant(1<<bits))
		f.b.If(small, func() {
			f.b.Write(v, f.b.Binary(compile.Add, n, f.constant(1)))
		}, func() {
			high := logarithm(f, n)
			shift := f.b.Binary(compile.Sub, high, f.constant(int64(bits)))
			part := f.b.Binary(compile.And, f.b.Binary(compile.LShr, n, shift), f.constant(1<<bits-1))
			group := f.b.Binary(compile.Shl, f.b.Binary(compile.Add, shift, f.constant(1)), f.constant(int64(bits)))
			index := f.b.Binary(compile.Add, f.b.Binary(compile.Or, group, part), f.constant(1))
			f.b.Write(v, index)
		})
	})
	return f.b.Read(v)
}

// logarithm is the number of the highest bit that is set, by halving without branches: the
// comparison gives 1 or 0, which is shifted to the bit of the result.
func logarithm(f *lowering, n *compile.Value) *compile.Value {
	result := f.constant(0)
	for _, bit := range []int64{5, 4, 3, 2, 1, 0} {
		large := f.b.Binary(compile.ULessEqual, f.constant(1<<(1<<bit)), n)
		shift := f.b.Binary(compile.Shl, large, f.constant(bit))
		n = f.b.Binary(compile.LShr, n, shift)
		result = f.b.Binary(compile.Or, result, shift)
	}
	return result
}

// linearIndex is the bucket of a number: 0 below the smallest, the last from the largest on.
func linearIndex(f *lowering, n *compile.Value, t Type) *compile.Value {
	v := f.b.NewVariable(compile.Word)
	f.b.Write(v, f.constant(0))
	f.b.If(f.b.Binary(compile.SLess, n, f.constant(t.Min)), func() {}, func() {
		f.b.If(f.b.Binary(compile.SLess, n, f.constant(t.Max)), func() {
			from := f.b.Binary(compile.Sub, n, f.constant(t.Min))
			step := f.b.Binary(compile.UDiv, from, f.constant(t.Step))
			f.b.Write(v, f.b.Binary(compile.Add, step, f.constant(1)))
		}, func() { f.b.Write(v, f.constant(int64(t.Size/word-1))) })
	})
	return f.b.Read(v)
}

// totalOf is an aggregate over all processors, as one integer: looked up on each.
func (f *lowering) totalOf(info *mapInfo, key *compile.Value) *compile.Value {
	sum, count := f.b.NewVariable(compile.Word), f.b.NewVariable(compile.Word)
	f.b.Write(sum, f.constant(0))
	f.b.Write(count, f.constant(0))
	f.eachCPU(info, key, func(p *compile.Value) { f.combine(info, p, sum, count) })
	if info.value.Kind == AvgOf || info.value.Kind == StatsOf {
		op := compile.UDiv
		if info.value.Signed {
			op = compile.SDiv
		}
		return f.b.Binary(op, f.b.Read(sum), f.b.Read(count))
	}
	return f.b.Read(sum)
}

// eachCPU builds what happens with the value that each processor has of a key.
func (f *lowering) eachCPU(info *mapInfo, key *compile.Value, body func(p *compile.Value)) {
	cpu := f.b.NewVariable(compile.Word)
	f.b.Write(cpu, f.constant(0))
	head, turn, next, after := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.b.Jump(head)
	f.b.Enter(head)
	f.b.Branch(f.b.Binary(compile.ULess, f.b.Read(cpu), f.constant(int64(f.machine.CPUs))), turn, after)
	f.b.Seal(turn)
	f.b.Enter(turn)
	p := f.b.Call(fnLookupPerCPU, compile.NullableMapValue, f.mapValue(info), key, f.b.Read(cpu))
	body(f.b.NonNull(p, next))
	f.b.Jump(next)
	f.b.Seal(next)
	f.b.Enter(next)
	f.b.Write(cpu, f.b.Binary(compile.Add, f.b.Read(cpu), f.constant(1)))
	f.b.Jump(head)
	f.b.Seal(head)
	f.b.Seal(after)
	f.b.Enter(after)
}

// combine takes one processor's value into the total.
func (f *lowering) combine(info *mapInfo, p *compile.Value, sum, count compile.Variable) {
	first := f.b.Load(p, 0, word, false)
	add := func(v compile.Variable, w *compile.Value) { f.b.Write(v, f.b.Binary(compile.Add, f.b.Read(v), w)) }
	switch info.value.Kind {
	case MinOf, MaxOf:
		f.b.If(f.b.Load(p, word, word, false), func() { f.combineExtreme(info, first, sum, count) }, nil)
	case AvgOf, StatsOf:
		add(sum, first)
		add(count, f.b.Load(p, word, word, false))
	default:
		add(sum, first)
	}
}

func (f *lowering) combineExtreme(info *mapInfo, n *compile.Value, best, seen compile.Variable) {
	less := compile.ULess
	if info.value.Signed {
		less = compile.SLess
	}
	better := f.b.Binary(less, n, f.b.Read(best))
	if info.value.Kind == MaxOf {
		better = f.b.Binary(less, f.b.Read(best), n)
	}
	none := f.b.Binary(compile.Equal, f.b.Read(seen), f.constant(0))
	f.b.If(f.b.Binary(compile.Or, better, none), func() { f.b.Write(best, n) }, nil)
	f.b.Write(seen, f.constant(1))
}

// deletes builds delete().
func (f *lowering) deletes(call *syntax.Call) value {
	if m, ok := call.Args[0].(*syntax.Map); ok && m.Key == nil {
		var key syntax.Expr
		if len(call.Args) == 2 {
			key = call.Args[1]
		}
		return value{typ: int64Type, word: f.deleteKey(f.maps[m.Name], key)}
	}
	for _, arg := range call.Args {
		m := arg.(*syntax.Map)
		f.deleteKey(f.maps[m.Name], m.Key)
	}
	return value{}
}

// deleteKey removes a key, and tells whether it was there; one of an array cannot be: its value
// becomes 0.
func (f *lowering) deleteKey(info *mapInfo, x syntax.Expr) *compile.Value {
	key := f.key(info, x)
	switch info.kind() {
	case Array:
		f.update(info, key, f.zeros(info.value.stored()), 0)
		return f.constant(1)
	case PerCPUArray:
		f.eachCPU(info, key, func(p *compile.Value) { f.clear(place{base: p}, info.value.stored()) })
		return f.constant(1)
	}
	result := f.b.Call(fnDelete, compile.Word, f.mapValue(info), key)
	// Before 6.4 the kernel calls the map's own function instead, which returns an int.
	f.checked(fnDelete, f.b.Extend(result, 4, true))
	return f.b.Binary(compile.Equal, result, f.constant(0))
}

func (f *lowering) hasKey(call *syntax.Call) value {
	info := f.maps[call.Args[0].(*syntax.Map).Name]
	v := f.b.NewVariable(compile.Word)
	f.present(info, f.key(info, call.Args[1]), func(*compile.Value) { f.b.Write(v, f.constant(1)) },
		func() { f.b.Write(v, f.constant(0)) })
	return value{typ: int64Type, word: f.b.Read(v)}
}
