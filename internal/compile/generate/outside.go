// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"fmt"
	"slices"

	"github.com/skep-io/skep/internal/compile"
)

// Helpers by their number in the kernel.
const (
	mapLookup     = 1
	mapUpdate     = 2
	mapDelete     = 3
	currentPID    = 14
	currentUID    = 15
	currentComm   = 16
	readKernel    = 113
	readKernelStr = 115
	bpfLoop       = 181
	forEach       = 164
	ringReserve   = 131
	ringSubmit    = 132
	ringDiscard   = 133
)

// key is one of few, in a slot.
func (f *body) key() *compile.Value {
	key := f.Slot(8)
	f.Store(key, 0, 8, f.Binary(compile.UMod, f.word(), f.Const(TableKeys)))
	return key
}

// lookup uses what it finds. Nothing in there may change the table: the kernel gives the
// memory of what was removed to others, in an order of its own.
func (f *body) lookup() {
	if f.nesting > 2 || !f.mayChange {
		return
	}
	found := f.Call(mapLookup, compile.NullableMapValue, f.Map(Table), f.key())
	isNull, after := f.NewBlock(), f.NewBlock()
	p := f.NonNull(found, isNull)
	f.mayChange = false
	f.scope(func() {
		f.keepArea(area{p, TableSize, p})
		f.keep(f.Load(p, int64(8*f.Pick(2)), 8, false))
		f.statements()
	})
	f.mayChange = true
	f.Jump(after)
	f.Seal(isNull)
	f.Enter(isNull)
	f.scope(f.statements)
	f.Jump(after)
	f.Seal(after)
	f.Enter(after)
}

// change updates or deletes.
func (f *body) change() {
	if !f.mayChange {
		return
	}
	key := f.key()
	if f.Pick(4) == 3 {
		f.keepInt(f.Call(mapDelete, compile.Word, f.Map(Table), key))
		return
	}
	value := f.Slot(TableSize)
	f.Store(value, 0, 8, f.word())
	f.Store(value, 8, 8, f.word())
	f.keepInt(f.Call(mapUpdate, compile.Word, f.Map(Table), key, value, f.Const(int64(f.Pick(3)))))
}

// keepInt keeps the result of a helper that gives an int. Kernels that call the map's own
// function in its place (5.10, 6.1) leave the upper half undefined.
func (f *body) keepInt(w *compile.Value) { f.keep(f.Extend(w, 4, true)) }

// ask is what the host answers.
func (f *body) ask() {
	switch f.Pick(3) {
	case 0:
		f.keep(f.Call(currentPID, compile.Word))
	case 1:
		f.keep(f.Call(currentUID, compile.Word))
	default:
		comm := f.Slot(16)
		f.Zero(comm, 0, 16)
		f.keep(f.Call(currentComm, compile.Word, comm, f.Const(16)))
		f.keepArea(area{comm, 16, comm})
	}
}

// probe copies between areas through the helpers that may fail.
func (f *body) probe() {
	to, ok := f.area()
	from, ok2 := f.area()
	if !ok || !ok2 || to.same == from.same {
		return
	}
	size := f.Const(int64(1 + f.Pick(min(to.size, from.size))))
	helper := int64(readKernel)
	if f.Pick(2) == 1 {
		helper = readKernelStr
	}
	f.keep(f.Call(helper, compile.Word, to.p, size, from.p))
}

// callFunc calls a function, made for it or before.
func (f *body) callFunc() {
	if !f.isEntry {
		return
	}
	if i := slices.IndexFunc(f.areas, func(a area) bool { return a.p.Type == compile.Stack && a.size >= loopSize }); i >= 0 && f.Pick(2) == 1 {
		name := fmt.Sprintf("s%d", len(f.program.Funcs))
		f.function(name, compile.Word, compile.Stack, compile.Word)
		f.keep(f.CallFunc(name, f.word(), f.areas[i].p, f.word()))
		return
	}
	if len(f.callees) == 0 || len(f.callees) < 3 && f.Pick(2) == 0 {
		f.callees = append(f.callees, f.function(fmt.Sprintf("f%d", len(f.callees)), compile.Word, compile.Word, compile.Word, compile.MapValue))
	}
	callee := f.callees[f.Pick(len(f.callees))]
	f.keep(f.CallFunc(callee.Name, f.word(), f.word(), f.word(), f.areas[0].p))
}

// function makes another function, whose parameters are words and pointers.
func (f *body) function(name string, params ...compile.Type) *compile.Func {
	inner := &body{generator: f.generator, Builder: compile.NewBuilder(name, compile.Word, params...)}
	for i, t := range params {
		p := inner.Parameter(i)
		switch t {
		case compile.Word:
			inner.keep(p)
		case compile.MapValue:
			inner.areas = append(inner.areas, area{p, OutSize, p})
		case compile.Stack:
			inner.areas = append(inner.areas, area{p, loopSize, p})
		}
	}
	for range f.Pick(8) {
		inner.statement()
	}
	inner.digest()
	f.program.Funcs = append(f.program.Funcs, inner.Func)
	return inner.Func
}

// loopSize is the memory that a callback shares with who makes it be called.
const loopSize = 16

// repeat makes the kernel call a function in a loop.
func (f *body) repeat() {
	if !f.isEntry || len(f.ends) > 0 {
		return
	}
	name := fmt.Sprintf("c%d", len(f.program.Funcs))
	inner := &body{generator: f.generator, Builder: compile.NewBuilder(name, compile.Word, compile.Word, compile.Stack), isCallback: true}
	inner.keep(inner.Parameter(0))
	given := inner.Parameter(1)
	inner.areas = append(inner.areas, area{given, loopSize, given})
	for range f.Pick(5) {
		inner.statement()
	}
	inner.finish(inner.word())
	f.program.Funcs = append(f.program.Funcs, inner.Func)
	shared := f.Slot(loopSize)
	f.Store(shared, 0, 8, f.word())
	f.Store(shared, 8, 8, f.word())
	f.keep(f.Call(bpfLoop, compile.Word, f.Const(int64(1+f.Pick(4))), f.FuncOf(name), shared, f.Const(0)))
	f.keepArea(area{shared, loopSize, shared})
}

// spill keeps a pointer in memory for a while.
func (f *body) spill() {
	a, ok := f.area()
	if !ok || a.size < 8 {
		return
	}
	slot := f.Slot(8)
	f.Store(slot, 0, 8, a.p)
	f.scope(f.statements)
	p := f.LoadPtr(slot, 0, a.p.Type)
	f.keep(f.Load(p, 0, 8, false))
	f.keepArea(area{p, a.size, a.same})
}

// each makes the kernel call a function with every element of the table. Their order is the
// kernel's affair: what the function does must not depend on it.
func (f *body) each() {
	if !f.isEntry || len(f.ends) > 0 {
		return
	}
	name := fmt.Sprintf("e%d", len(f.program.Funcs))
	inner := compile.NewBuilder(name, compile.Word, compile.Map, compile.MapValue, compile.MapValue, compile.Stack)
	key, value := inner.Load(inner.Parameter(1), 0, 8, false), inner.Load(inner.Parameter(2), 8, 8, false)
	ops := []compile.Op{compile.Xor, compile.Mul, compile.SLess, compile.UDiv}
	inner.AtomicAdd(inner.Parameter(3), 0, 8, inner.Binary(ops[f.Pick(len(ops))], value, key))
	inner.Store(inner.Parameter(2), 0, 4, key)
	inner.Return(inner.Const(0))
	f.program.Funcs = append(f.program.Funcs, inner.Func)
	shared := f.Slot(loopSize)
	f.Zero(shared, 0, loopSize)
	f.keep(f.Call(forEach, compile.Word, f.Map(Table), f.FuncOf(name), shared, f.Const(0)))
	f.keepArea(area{shared, loopSize, shared})
}

// record reserves a record, fills it, and submits it or not.
func (f *body) record() {
	if f.nesting > 2 || len(f.areas) == 0 {
		return
	}
	size := 8 * (1 + f.Pick(4))
	found := f.Call(ringReserve, compile.NullableMemory, f.Map(Ring), f.Const(int64(size)), f.Const(0))
	isNull, after := f.NewBlock(), f.NewBlock()
	p := f.NonNull(found, isNull)
	f.Zero(p, 0, size)
	for range f.Pick(3) {
		f.Store(p, int64(8*f.Pick(size/8)), 8, f.word())
	}
	if a, ok := f.area(); ok && a.size >= 8 && a.p != p {
		f.Copy(p, 0, a.p, min(a.size, size))
	}
	finish := int64(ringSubmit)
	if f.Pick(3) == 2 {
		finish = ringDiscard
	}
	f.AtomicAdd(f.areas[0].p, 0, 8, f.Load(p, int64(8*f.Pick(size/8)), 8, false))
	f.Call(finish, compile.Void, p, f.Const(1)) // nobody is woken
	f.Jump(after)
	f.Seal(isNull)
	f.Enter(isNull)
	f.Jump(after)
	f.Seal(after)
	f.Enter(after)
}
