// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// kind is the kernel's type for a map.
func (m *mapInfo) kind() MapKind {
	keyless := m.key.Kind == None
	switch {
	case m.declared != nil:
		if kind, ok := declaredKind(m.declared.Kind); ok {
			return kind
		}
	case m.value.Kind == CountOf && keyless:
		return PerCPUArray
	case m.value.isAggregate():
		return PerCPUHash
	}
	return Hash
}

func declaredKind(name string) (MapKind, bool) {
	kinds := map[string]MapKind{
		"hash": Hash, "lruhash": LRUHash, "percpuhash": PerCPUHash, "percpulruhash": LRUPerCPUHash,
		"percpuarray": PerCPUArray, "array": Array,
	}
	kind, ok := kinds[name]
	return kind, ok
}

// keySize in bytes: that of an array is 4, and of a hash without keys 8 bytes of 0.
func (m *mapInfo) keySize() int {
	switch {
	case m.kind() == PerCPUArray || m.kind() == Array:
		return 4
	case m.key.Kind == None:
		return word
	}
	return m.key.stored()
}

func (m *mapInfo) shape() compile.MapShape {
	kind := m.kind()
	return compile.MapShape{
		KeySize: m.keySize(), ValueSize: m.value.stored(),
		PerCPU: kind == PerCPUArray || kind == PerCPUHash || kind == LRUPerCPUHash,
	}
}

// mapValue is a map as helpers take it.
func (f *lowering) mapValue(m *mapInfo) *compile.Value {
	f.useMap(m.name, m.shape())
	return f.b.Map(m.name)
}

// key builds the key of a map in memory.
func (f *lowering) key(m *mapInfo, x syntax.Expr) *compile.Value {
	if m.key.Kind == None || x == nil {
		p := f.b.Slot(word)
		f.b.Zero(p, 0, word)
		return p
	}
	if m.kind() == PerCPUArray || m.kind() == Array {
		p := f.b.Slot(word)
		f.b.Store(p, 0, word, f.number(f.eval(x)))
		return p
	}
	p := f.memory(m.key.stored())
	f.into(p, m.key, x)
	return f.pointer(p)
}

func (f *lowering) lookup(m *mapInfo, key *compile.Value) *compile.Value {
	return f.b.Call(fnLookup, compile.NullableMapValue, f.mapValue(m), key)
}

// update stores a value, and counts where a map has no room for another key.
func (f *lowering) update(m *mapInfo, key, val *compile.Value, flags int64) {
	failed := f.b.Call(fnUpdate, compile.Word, f.mapValue(m), key, val, f.constant(flags))
	if m.canFill() && flags == 0 {
		f.b.If(failed, f.countFull, nil)
	}
}

// canFill tells whether a map has a limited number of keys and keeps the old ones.
func (m *mapInfo) canFill() bool {
	kind := m.kind()
	return m.key.Kind != None && (kind == Hash || kind == PerCPUHash)
}

func (f *lowering) countFull() {
	f.out.usesFull = true
	f.b.Block().Unlikely = true
	f.useMap(fullMap, compile.MapShape{KeySize: 4, ValueSize: word * maxPrograms})
	f.b.AtomicAdd(f.b.ValueOf(fullMap, int64(f.main.index*word)), 0, word, f.constant(1))
}

// readMap is the value of a key, or zeros where the key is missing.
func (f *lowering) readMap(x *syntax.Map) value {
	info := f.maps[x.Name]
	key := f.key(info, x.Key)
	t := info.value
	if t.isAggregate() {
		return value{typ: t.read(), word: f.totalOf(info, key)}
	}
	missing, after := f.b.NewBlock(), f.b.NewBlock()
	p := f.lookup(info, key)
	p = f.b.NonNull(p, missing)
	tell := func() {
		if f.options.HelperErrors {
			f.tellFailed(fnLookup, f.constant(0))
		}
	}
	if t.isWord() {
		v := f.b.NewVariable(compile.Word)
		f.b.Write(v, f.b.Load(p, 0, word, false))
		f.b.Jump(after)
		f.arm(missing, after, func() { tell(); f.b.Write(v, f.constant(0)) })
		f.b.Seal(after)
		f.b.Enter(after)
		return value{typ: t, word: f.b.Read(v)}
	}
	v := f.b.NewVariable(compile.MapValue)
	f.b.Write(v, p)
	f.b.Jump(after)
	f.arm(missing, after, func() { tell(); f.b.Write(v, f.zeros(t.stored())) })
	f.b.Seal(after)
	f.b.Enter(after)
	return value{typ: t, at: place{base: f.b.Read(v)}}
}

// zeros is memory of the script that is never written.
func (f *lowering) zeros(size int) *compile.Value {
	f.out.zeros = max(f.out.zeros, size)
	f.useMap(zerosMap, compile.MapShape{KeySize: 4, ValueSize: largestValue})
	return f.b.ValueOf(zerosMap, 0)
}

// assignMap builds @m[k] = value and @m[k] op= value.
func (f *lowering) assignMap(m *syntax.Map, s *syntax.Assign) {
	info := f.maps[m.Name]
	if call, ok := s.Value.(*syntax.Call); ok && info.value.isAggregate() && s.Op == syntax.NoOp {
		f.aggregate(info, m, call)
		return
	}
	if s.Op != syntax.NoOp {
		f.changeMap(info, m, s)
		return
	}
	// The value first: it may read the map.
	val := f.eval(s.Value)
	if info.value.isWord() {
		word := f.asWord(val)
		f.storeWord(info, m, value{typ: info.value, word: word})
		return
	}
	at := val.at
	if val.typ.Size != info.value.Size || at.space != loaded || at.base == nil || at.base.Type == compile.Context {
		at = f.memory(info.value.stored())
		f.put(at, info.value, val)
	}
	f.update(info, f.key(info, m.Key), f.pointer(at), 0)
}

// storeWord stores a word: at once where the key is there in a map without keys, which is
// mostly so, and by an update otherwise.
func (f *lowering) storeWord(info *mapInfo, m *syntax.Map, val value) {
	key := f.key(info, m.Key)
	if info.key.Kind != None {
		slot := f.b.Slot(word)
		f.b.Store(slot, 0, word, val.word)
		f.update(info, key, slot, 0)
		return
	}
	f.present(info, key, func(p *compile.Value) {
		f.b.Store(p, 0, word, val.word)
	}, func() {
		slot := f.b.Slot(word)
		f.b.Store(slot, 0, word, val.word)
		f.update(info, key, slot, 0)
	})
}

// present builds what happens where a key is there, with its value, and where it is not.
func (f *lowering) present(info *mapInfo, key *compile.Value, there func(p *compile.Value), missing func()) {
	absent, after := f.b.NewBlock(), f.b.NewBlock()
	absent.Unlikely = true
	p := f.b.NonNull(f.lookup(info, key), absent)
	there(p)
	f.b.Jump(after)
	f.arm(absent, after, missing)
	f.b.Seal(after)
	f.b.Enter(after)
}

// changeMap builds @m[k] op= value.
func (f *lowering) changeMap(info *mapInfo, m *syntax.Map, s *syntax.Assign) {
	operand := value{typ: f.typeOf(s.Value), word: f.number(f.eval(s.Value))}
	if operand.typ.isAggregate() {
		operand.typ = operand.typ.read()
	}
	old := value{typ: info.value}
	key := f.key(info, m.Key)
	f.present(info, key, func(p *compile.Value) {
		if s.Op == syntax.Add && info.value.Kind == Integer {
			f.b.AtomicAdd(p, 0, word, operand.word)
			return
		}
		old.word = f.b.Load(p, 0, word, false)
		f.b.Store(p, 0, word, f.operate(s.Op, old, operand, s.Target, s.Value))
	}, func() {
		old.word = f.constant(0)
		slot := f.b.Slot(word)
		f.b.Store(slot, 0, word, f.operate(s.Op, old, operand, s.Target, s.Value))
		f.update(info, key, slot, 0)
	})
}

// step builds ++ and --; wanted tells that its value is.
func (f *lowering) step(x *syntax.Step, wanted bool) value {
	by := int64(1)
	if x.Down {
		by = -1
	}
	if target, ok := x.X.(*syntax.Variable); ok {
		return f.stepVariable(target, x, by)
	}
	m, ok := x.X.(*syntax.Map)
	if !ok {
		return value{typ: int64Type, word: f.constant(0)}
	}
	info := f.maps[m.Name]
	by *= stride(info.value)
	key := f.key(info, m.Key)
	v := f.b.NewVariable(compile.Word)
	f.present(info, key, func(p *compile.Value) {
		if !wanted {
			f.b.AtomicAdd(p, 0, word, f.constant(by))
			return
		}
		old := f.b.Load(p, 0, word, false)
		changed := f.b.Binary(compile.Add, old, f.constant(by))
		f.b.Store(p, 0, word, changed)
		f.b.Write(v, either(x.Prefix, changed, old))
	}, func() {
		slot := f.b.Slot(word)
		f.b.Store(slot, 0, word, f.constant(by))
		f.update(info, key, slot, 0)
		f.b.Write(v, f.constant(by*boolWord(x.Prefix)))
	})
	if !wanted {
		return value{}
	}
	return value{typ: info.value, word: f.b.Read(v)}
}

func either(first bool, a, b *compile.Value) *compile.Value {
	if first {
		return a
	}
	return b
}

// stride is what ++ adds: to a pointer the size of what it points to.
func stride(t Type) int64 {
	if t.Kind == Pointer && t.Elem != nil && t.Elem.Size > 0 {
		return int64(t.Elem.Size)
	}
	return 1
}

func (f *lowering) stepVariable(target *syntax.Variable, x *syntax.Step, by int64) value {
	v := f.unit.vars[target]
	old := f.b.Read(f.words[v])
	changed := f.cut(v, f.b.Binary(compile.Add, old, f.constant(by*stride(v.typ))))
	f.b.Write(f.words[v], changed)
	return value{typ: v.typ, word: either(x.Prefix, changed, old)}
}
