// SPDX-License-Identifier: Apache-2.0

package compile

// context is the parameter of an entry, and wordAt the i-th word of it.
func wordAt(b *Builder, context *Value, i int64) *Value { return b.Load(context, 8*i, 8, false) }

func foldProgram(b *Builder) {
	x := wordAt(b, b.Parameter(0), 0)
	x = b.Binary(Add, b.Binary(Add, x, b.Const(3)), b.Const(4))
	x = b.Binary(Mul, x, b.Binary(Sub, b.Const(12), b.Const(4)))
	x = b.Binary(UMod, b.Binary(Xor, x, b.Const(0)), b.Const(1024))
	half := b.NewVariable(Word)
	b.Write(half, x)
	b.If(b.Binary(ULess, x, b.Const(5000)), func() { b.Write(half, b.Binary(UDiv, x, b.Const(2))) }, nil)
	b.Return(b.Read(half))
}

// countProgram is @[pid] = count(), with the value made where it is missing.
func countProgram(b *Builder) {
	key := b.Slot(8)
	b.Zero(key, 0, 8)
	b.Store(key, 0, 8, b.Binary(LShr, b.Call(14, Word), b.Const(32)))
	isNull, done := b.NewBlock(), b.NewBlock()
	isNull.Unlikely = true
	v := b.NonNull(b.Call(1, NullableMapValue, b.Map("counts"), key), isNull)
	b.Seal(isNull)
	b.Store(v, 0, 8, b.Binary(Add, b.Load(v, 0, 8, false), b.Const(1)))
	b.Jump(done)
	b.Enter(isNull)
	first := b.Slot(8)
	b.Store(first, 0, 8, b.Const(1))
	b.Call(2, Word, b.Map("counts"), key, first, b.Const(1))
	b.Jump(done)
	b.Seal(done)
	b.Enter(done)
	b.Return(b.Const(0))
}

func pidFilter(b *Builder) {
	pid := b.Extend(b.Binary(LShr, b.Call(14, Word), b.Const(32)), 4, false)
	tid := b.Extend(b.Call(14, Word), 4, false)
	b.If(b.Binary(Equal, pid, b.Const(1234)), func() {
		b.If(b.Binary(ULess, tid, b.Const(5678)), func() { b.Return(b.Const(1)) }, nil)
	}, nil)
	b.Return(b.Const(0))
}

// andProgram is if (a == 1 && b < 2) as a front end builds it that has values only.
func andProgram(b *Builder) {
	v, ctx := b.NewVariable(Word), b.Parameter(0)
	b.Write(v, b.Const(0))
	x, y := wordAt(b, ctx, 0), wordAt(b, ctx, 1)
	b.If(b.Binary(Equal, x, b.Const(1)), func() { b.Write(v, b.Binary(SLess, y, b.Const(2))) }, nil)
	b.If(b.Binary(NotEqual, b.Read(v), b.Const(0)), func() { b.Return(x) }, func() { b.Return(y) })
	b.Return(b.Const(0))
}

func loopProgram(b *Builder) {
	i, sum := b.NewVariable(Word), b.NewVariable(Word)
	b.Write(i, b.Const(0))
	b.Write(sum, b.Const(0))
	x := wordAt(b, b.Parameter(0), 0)
	head, body, after := b.NewBlock(), b.NewBlock(), b.NewBlock()
	b.Jump(head)
	b.Enter(head)
	b.Branch(b.Binary(ULess, b.Read(i), b.Const(10)), body, after)
	b.Seal(body)
	b.Enter(body)
	b.Write(sum, b.Binary(Add, b.Read(sum), b.Binary(Mul, x, b.Read(i))))
	b.Write(i, b.Binary(Add, b.Read(i), b.Const(1)))
	b.Jump(head)
	b.Seal(head)
	b.Seal(after)
	b.Enter(after)
	b.Return(b.Read(sum))
}

// paddingProgram fills a key of 24 bytes but for 4 of padding.
func paddingProgram(b *Builder) {
	key, ctx := b.Slot(24), b.Parameter(0)
	b.Zero(key, 0, 24)
	b.Store(key, 0, 8, wordAt(b, ctx, 0))
	b.Store(key, 8, 4, wordAt(b, ctx, 1))
	b.Store(key, 16, 8, wordAt(b, ctx, 2))
	b.Return(b.Call(3, Word, b.Map("counts"), key))
}

func copyProgram(b *Builder) {
	to := b.Slot(24)
	b.Copy(to, 0, b.ValueOf("scratch", 32), 21)
	b.Zero(to, 21, 3)
	b.Return(b.Call(3, Word, b.Map("counts"), to))
}

func immediatesProgram(b *Builder) {
	p := b.ValueOf("scratch", 0)
	b.Store(p, 0, 8, b.Const(-1))
	b.Store(p, 8, 4, b.Const(0xffffffff))
	b.Store(p, 12, 1, b.Const(0x1ff))
	b.Store(p, 16, 8, b.Const(0x1234567890))
	b.Store(b.Binary(Add, p, b.Const(64)), 8, 2, b.Const(3))
	b.Return(b.Const(0))
}

func flagsProgram(b *Builder) {
	ctx := b.Parameter(0)
	x, y := wordAt(b, ctx, 0), wordAt(b, ctx, 1)
	zero := b.Const(0)
	b.If(b.Binary(NotEqual, b.Binary(And, x, b.Const(0x40)), zero), func() { b.Return(b.Const(1)) }, nil)
	b.If(b.Binary(Equal, b.Binary(And, x, y), zero), func() { b.Return(b.Const(2)) }, nil)
	b.If(b.Binary(NotEqual, b.Binary(NotEqual, y, zero), zero), func() { b.Return(b.Const(3)) }, nil)
	b.Return(b.Const(0))
}

func acrossProgram(b *Builder) {
	ctx := b.Parameter(0)
	x, y := wordAt(b, ctx, 0), wordAt(b, ctx, 1)
	now := b.Call(5, Word)
	later := b.Call(5, Word)
	b.Return(b.Binary(Add, b.Binary(Sub, later, now), b.Binary(Xor, x, y)))
}

// spillProgram has six values live across a call, and four registers for them.
func spillProgram(b *Builder) {
	ctx := b.Parameter(0)
	var values []*Value
	for i := range int64(6) {
		values = append(values, wordAt(b, ctx, i))
	}
	sum := b.Call(5, Word)
	for _, v := range values {
		sum = b.Binary(Add, b.Binary(Mul, sum, b.Const(3)), v)
	}
	b.Return(sum)
}

// exchangeProgram passes its parameters on the other way round.
func exchangeProgram() *Program {
	entry := NewBuilder("entry", Word, Context)
	ctx := entry.Parameter(0)
	entry.Return(entry.CallFunc("swap", wordAt(entry, ctx, 0), wordAt(entry, ctx, 1), wordAt(entry, ctx, 2)))
	swap := NewBuilder("swap", Word, Word, Word, Word)
	x, y, z := swap.Parameter(0), swap.Parameter(1), swap.Parameter(2)
	swap.Return(swap.CallFunc("last", z, x, y))
	last := NewBuilder("last", Word, Word, Word, Word)
	last.Return(last.Binary(Sub, last.Parameter(0), last.Parameter(2)))
	return &Program{Funcs: []*Func{entry.Func, swap.Func, last.Func}}
}

// callbackProgram sums in a loop of the kernel.
func callbackProgram() *Program {
	entry := NewBuilder("entry", Word, Context)
	sum := entry.Slot(8)
	entry.Store(sum, 0, 8, entry.Const(0))
	entry.Call(181, Word, entry.Const(100), entry.FuncOf("add"), sum, entry.Const(0))
	entry.Return(entry.Load(sum, 0, 8, false))
	add := NewBuilder("add", Word, Word, Stack)
	i, p := add.Parameter(0), add.Parameter(1)
	add.Store(p, 0, 8, add.Binary(Add, add.Load(p, 0, 8, false), i))
	add.Return(add.Const(0))
	return &Program{Funcs: []*Func{entry.Func, add.Func}}
}

// boundProgram reads as many bytes as the context says, at most 64: what was compared has
// to be what is passed, in the same register.
func boundProgram(b *Builder) {
	ctx := b.Parameter(0)
	n, from := wordAt(b, ctx, 1), wordAt(b, ctx, 0)
	buffer := b.ValueOf("scratch", 0)
	b.If(b.Binary(ULessEqual, n, b.Const(64)), func() {
		b.Store(buffer, 64, 8, b.Call(5, Word))
		b.Call(113, Word, buffer, n, from)
	}, nil)
	b.Return(n)
}

// placesProgram has keys that are not used at the same time.
func placesProgram(b *Builder) {
	ctx := b.Parameter(0)
	use := func(i int64) {
		key := b.Slot(16)
		b.Zero(key, 8, 8)
		b.Store(key, 0, 8, b.Const(i))
		b.Call(3, Word, b.Map("counts"), key)
	}
	b.If(b.Binary(Equal, wordAt(b, ctx, 0), b.Const(1)), func() { use(1) }, func() { use(2) })
	use(3)
	b.Return(b.Const(0))
}

// contextProgram reads fields twice.
func contextProgram(b *Builder) {
	ctx := b.Parameter(0)
	b.If(b.Binary(SLess, wordAt(b, ctx, 0), b.Const(0)), func() { b.Return(wordAt(b, ctx, 0)) }, nil)
	b.Return(b.Binary(Add, wordAt(b, ctx, 0), wordAt(b, ctx, 1)))
}

// scratchProgram fills a record in a map's only value.
func scratchProgram(b *Builder) {
	ctx, p := b.Parameter(0), b.ValueOf("scratch", 0)
	b.Store(p, 0, 8, b.Const(7))
	b.Store(p, 8, 8, b.Call(14, Word))
	b.Store(p, 16, 8, b.Call(5, Word))
	b.Call(16, Word, b.Binary(Add, p, b.Const(24)), b.Const(16))
	b.Store(p, 40, 8, wordAt(b, ctx, 0))
	b.Return(b.Const(0))
}

func signedProgram(b *Builder) {
	ctx := b.Parameter(0)
	x, y := wordAt(b, ctx, 0), b.Extend(wordAt(b, ctx, 1), 4, true)
	n := b.Binary(SDiv, x, b.Const(10))
	b.Return(b.Binary(Add, n, b.Binary(SMod, y, b.Const(8))))
}

func booleanProgram(b *Builder) {
	ctx := b.Parameter(0)
	x, y := wordAt(b, ctx, 0), wordAt(b, ctx, 1)
	b.Return(b.Binary(Add, b.Binary(SLess, x, y), b.Binary(Equal, x, b.Const(0))))
}

func tailProgram(b *Builder) {
	b.Value(Value{Op: TailCall, Args: []*Value{b.Parameter(0), b.Map("programs"), b.Const(3)}})
	b.Return(b.Const(1))
}

func orderProgram(b *Builder) {
	x := b.Extend(wordAt(b, b.Parameter(0), 0), 2, false)
	b.Return(b.Value(Value{Op: Swap, Type: Word, Width: 2, Args: []*Value{x}}))
}

// lookupsProgram asks for one key five times: twice while nothing changed, and again behind
// a deletion, behind one that may not have run, and in a loop that updates.
func lookupsProgram(b *Builder) {
	x := wordAt(b, b.Parameter(0), 0)
	sum := b.NewVariable(Word)
	b.Write(sum, b.Const(0))
	add := func() {
		key := b.Slot(8)
		b.Store(key, 0, 8, x)
		p := b.Call(1, NullableMapValue, b.Map("counts"), key)
		b.If(b.Binary(NotEqual, p, b.Const(0)), func() {
			there := b.Value(Value{Op: NonNull, Type: MapValue, Args: []*Value{p}})
			b.Write(sum, b.Binary(Add, b.Read(sum), b.Load(there, 0, 8, false)))
		}, nil)
	}
	change := func(helper int64) {
		key := b.Slot(8)
		b.Store(key, 0, 8, x)
		if helper == mapDelete {
			b.Call(helper, Word, b.Map("counts"), key)
		} else {
			b.Call(helper, Word, b.Map("counts"), key, key, b.Const(0))
		}
	}
	add()
	add()
	change(mapDelete)
	add()
	b.If(b.Binary(Equal, x, b.Const(7)), func() { change(mapDelete) }, nil)
	add()
	i := b.NewVariable(Word)
	b.Write(i, b.Const(0))
	head, body, after := b.NewBlock(), b.NewBlock(), b.NewBlock()
	b.Jump(head)
	b.Enter(head)
	b.Branch(b.Binary(ULess, b.Read(i), b.Const(3)), body, after)
	b.Seal(body)
	b.Enter(body)
	add()
	change(mapUpdate)
	b.Write(i, b.Binary(Add, b.Read(i), b.Const(1)))
	b.Jump(head)
	b.Seal(head)
	b.Seal(after)
	b.Enter(after)
	b.Return(b.Read(sum))
}
