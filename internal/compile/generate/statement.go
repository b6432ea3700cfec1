// SPDX-License-Identifier: Apache-2.0

package generate

import "github.com/skep-io/skep/internal/compile"

// statement is one of many kinds; 0 is none.
func (f *body) statement() {
	f.Pos.Line++
	switch n := f.Pick(44); {
	case n == 0:
	case n < 12:
		f.keep(f.arithmetic())
	case n < 16:
		f.assign()
	case n < 18:
		f.store()
	case n < 20:
		f.load()
	case n < 21:
		f.slot()
	case n < 22:
		f.fill()
	case n < 23:
		f.copy()
	case n < 24:
		f.add()
	case n < 27:
		f.conditional()
	case n < 29:
		f.loop()
	case n < 30:
		f.choosePointer()
	case n < 31:
		f.indexed()
	case n < 32:
		f.leave()
	case n < 33:
		f.spill()
	default:
		f.outside(n - 1)
	}
}

// outside is what calls something.
func (f *body) outside(n int) {
	switch {
	case n < 34:
		f.lookup()
	case n < 35:
		f.change()
	case n < 36:
		f.ask()
	case n < 37:
		f.probe()
	case n < 39:
		f.callFunc()
	case n < 40:
		f.repeat()
	case n < 41:
		f.each()
	default:
		f.record()
	}
}

func (f *body) arithmetic() *compile.Value {
	x := f.word()
	switch n := f.Pick(23); n {
	case 0, 1, 2:
		width := []int{1, 2, 4, 8}[f.Pick(4)]
		switch n {
		case 0:
			return f.Extend(x, width, false)
		case 1:
			return f.Extend(x, width, true)
		}
		if width == 1 {
			width = 2
		}
		return f.Value(compile.Value{Op: compile.Swap, Type: compile.Word, Args: []*compile.Value{x}, Width: width})
	default:
		ops := []compile.Op{
			compile.Add, compile.Sub, compile.Mul, compile.UDiv, compile.UMod, compile.SDiv, compile.SMod, compile.And, compile.Or, compile.Xor,
			compile.Shl, compile.LShr, compile.AShr, compile.Equal, compile.NotEqual, compile.ULess, compile.ULessEqual, compile.SLess, compile.SLessEqual,
			compile.Sub,
		}
		return f.Binary(ops[n-3], x, f.word())
	}
}

// condition is a comparison or any word.
func (f *body) condition() *compile.Value {
	ops := []compile.Op{compile.Equal, compile.NotEqual, compile.ULess, compile.ULessEqual, compile.SLess, compile.SLessEqual}
	x := f.word()
	if n := f.Pick(len(ops) + 1); n < len(ops) {
		return f.Binary(ops[n], x, f.word())
	}
	return x
}

func (f *body) assign() {
	if len(f.vars) == 0 || f.Pick(4) == 0 && len(f.vars) < 8 {
		f.variable()
		return
	}
	f.Write(f.vars[f.Pick(len(f.vars))], f.arithmetic())
}

func (f *body) area() (area, bool) {
	if len(f.areas) == 0 {
		return area{}, false
	}
	return f.areas[len(f.areas)-1-f.Pick(len(f.areas))], true
}

// place is an aligned place of 1, 2, 4 or 8 bytes.
func (f *body) place() (p *compile.Value, offset int64, width int, ok bool) {
	a, ok := f.area()
	if !ok {
		return nil, 0, 0, false
	}
	width = []int{8, 4, 2, 1}[f.Pick(4)]
	for width > a.size {
		width /= 2
	}
	return a.p, int64(f.Pick(a.size/width) * width), width, true
}

func (f *body) store() {
	if p, offset, width, ok := f.place(); ok {
		f.Store(p, offset, width, f.word())
	}
}

func (f *body) load() {
	if p, offset, width, ok := f.place(); ok {
		f.keep(f.Load(p, offset, width, f.Pick(2) == 1))
	}
}

func (f *body) add() {
	if p, offset, width, ok := f.place(); ok && width >= 4 {
		f.AtomicAdd(p, offset, width, f.word())
	}
}

// slot is new memory of the frame, written at once.
func (f *body) slot() {
	if len(f.areas) > 5 {
		return
	}
	size := []int{8, 16, 4, 12, 24, 40, 3, 7}[f.Pick(8)]
	p := f.Slot(size)
	if size%8 != 0 || f.Pick(2) == 0 {
		f.Zero(p, 0, size)
	} else {
		for offset := 0; offset < size; offset += 8 {
			f.Store(p, int64(offset), 8, f.word())
		}
	}
	f.keepArea(area{p, size, p})
}

// part is any part of an area, aligned or not.
func (f *body) part() (a area, offset, size int, ok bool) {
	a, ok = f.area()
	if !ok {
		return a, 0, 0, false
	}
	size = 1 + f.Pick(min(a.size, 48))
	return a, f.Pick(a.size - size + 1), size, true
}

func (f *body) fill() {
	if a, offset, size, ok := f.part(); ok {
		f.Zero(a.p, int64(offset), size)
	}
}

func (f *body) copy() {
	to, offset, size, ok := f.part()
	from, ok2 := f.area()
	if !ok || !ok2 || from.size < size || from.same == to.same {
		return
	}
	f.Copy(to.p, int64(offset), from.p, size)
}

func (f *body) conditional() {
	if f.nesting > 3 {
		return
	}
	condition := f.condition()
	var otherwise func()
	if f.Pick(2) == 1 {
		otherwise = func() { f.scope(f.statements) }
	}
	f.If(condition, func() {
		f.Block().Unlikely = f.Pick(8) == 7
		f.scope(f.statements)
	}, otherwise)
}

// loop counts up to a constant, and may be left before.
func (f *body) loop() {
	if len(f.ends) > 1 || f.nesting > 2 {
		return
	}
	i := f.NewVariable(compile.Word)
	f.Write(i, f.Const(0))
	head, inside, after := f.NewBlock(), f.NewBlock(), f.NewBlock()
	f.Jump(head)
	f.Enter(head)
	f.Branch(f.Binary(compile.ULess, f.Read(i), f.Const(int64(1+f.Pick(3)))), inside, after)
	f.Seal(inside)
	f.Enter(inside)
	f.ends = append(f.ends, after)
	f.scope(func() {
		f.keep(f.Read(i))
		f.statements()
	})
	f.ends = f.ends[:len(f.ends)-1]
	f.Write(i, f.Binary(compile.Add, f.Read(i), f.Const(1)))
	f.Jump(head)
	f.Seal(head)
	f.Seal(after)
	f.Enter(after)
}

// leave ends a loop or the function, on a condition.
func (f *body) leave() {
	condition, result := f.condition(), f.word()
	f.If(condition, func() {
		if len(f.ends) > 0 && f.Pick(3) > 0 {
			f.Jump(f.ends[len(f.ends)-1])
			return
		}
		f.finish(result)
	}, nil)
}

// finish returns a word as the function may.
func (f *body) finish(w *compile.Value) {
	if f.isCallback {
		// 0 to go on or 1 to end.
		w = f.Binary(compile.ULess, f.Const(1<<62), w)
	}
	f.Return(w)
}

// choosePointer makes a phi of pointers and uses it.
func (f *body) choosePointer() {
	a, ok := f.area()
	b, ok2 := f.area()
	if !ok || !ok2 || a.p.Type != b.p.Type || a.size < 4 || b.size < 4 {
		return
	}
	v := f.NewVariable(a.p.Type)
	f.If(f.condition(), func() { f.Write(v, a.p) }, func() { f.Write(v, b.p) })
	p := f.Read(v)
	f.Store(p, 0, 4, f.word())
	f.keep(f.Load(p, 0, 4, f.Pick(2) == 1))
}

// indexed reads or writes at an offset that is only known to be small.
func (f *body) indexed() {
	a, ok := f.area()
	if !ok || a.size < 8 || a.p.Type != compile.MapValue {
		return
	}
	width := []int{1, 2, 4}[f.Pick(3)]
	index := f.Binary(compile.And, f.word(), f.Const(7))
	if width > 1 {
		index = f.Binary(compile.And, index, f.Const(int64(8-width)))
	}
	p := f.Binary(compile.Add, a.p, index)
	if f.Pick(2) == 0 {
		f.Store(p, 0, width, f.word())
	}
	f.keep(f.Load(p, 0, width, f.Pick(2) == 1))
}
