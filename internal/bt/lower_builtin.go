// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

func (f *lowering) name(x *syntax.Name) value {
	if b := f.builtinNamed(x.Name); b != nil {
		v := b.lower(f, x)
		if v.typ.Kind == None {
			v.typ = f.typeOf(x)
		}
		return v
	}
	if prefix, number, ok := isArgument(x.Name); ok {
		return value{typ: f.typeOf(x), word: f.numbered(prefix, number)}
	}
	return value{typ: f.typeOf(x), word: f.constant(f.unit.constants[x])}
}

// helperWord builds a builtin that is a helper's result.
func helperWord(helper int64) func(*lowering, *syntax.Name) value {
	return func(f *lowering, _ *syntax.Name) value { return value{word: f.b.Call(helper, compile.Word)} }
}

func (f *lowering) pid(*syntax.Name) value {
	return value{word: f.b.Binary(compile.LShr, f.b.Call(fnPIDTGID, compile.Word), f.constant(32))}
}

func (f *lowering) tid(*syntax.Name) value {
	return value{word: f.b.Extend(f.b.Call(fnPIDTGID, compile.Word), 4, false)}
}

func (f *lowering) uid(*syntax.Name) value {
	return value{word: f.b.Extend(f.b.Call(fnUIDGID, compile.Word), 4, false)}
}

func (f *lowering) username(x *syntax.Name) value { return f.uid(x) }

func (f *lowering) gid(*syntax.Name) value {
	return value{word: f.b.Binary(compile.LShr, f.b.Call(fnUIDGID, compile.Word), f.constant(32))}
}

func (f *lowering) random(*syntax.Name) value {
	return value{word: f.b.Extend(f.b.Call(fnRandom, compile.Word), 4, false)}
}

func (f *lowering) comm(x *syntax.Name) value { return f.inPlace(x, stringType(16)) }

// curtask is the task as a number: the verifier does not follow it.
func (f *lowering) curtask(*syntax.Name) value { return value{word: f.b.Call(fnTask, compile.Word)} }

// clockHelper is the clock of nsecs: that which goes on while the machine sleeps, if the
// kernel can.
func (f *lowering) clockHelper() int64 {
	if f.host.Helper(fnBootTime, f.unit.kind) {
		return fnBootTime
	}
	return fnTime
}

func (f *lowering) now(*syntax.Name) value {
	return value{word: f.b.Call(f.clockHelper(), compile.Word)}
}

func (f *lowering) clock(call *syntax.Call) value {
	helper := f.clockHelper()
	if len(call.Args) == 1 {
		if name, ok := call.Args[0].(*syntax.Name); ok && name.Name != "boot" {
			helper = clocks()[name.Name]
		}
	}
	return value{typ: uint64Type, word: f.b.Call(helper, compile.Word)}
}

func (f *lowering) elapsed(*syntax.Name) value {
	f.out.usesStart = true
	f.useMap(startMap, compile.MapShape{KeySize: 4, ValueSize: word})
	start := f.b.Load(f.b.ValueOf(startMap, 0), 0, word, false)
	return value{word: f.b.Binary(compile.Sub, f.b.Call(f.clockHelper(), compile.Word), start)}
}

func (f *lowering) processors(*syntax.Name) value {
	return value{word: f.constant(int64(f.machine.CPUs))}
}

func (f *lowering) childPID(*syntax.Name) value {
	return value{word: f.constant(int64(f.options.ChildPID))}
}

// ownedAddress is a word with the process that it belongs to.
func (f *lowering) ownedAddress(t Type, address *compile.Value) value {
	p := f.memory(2 * word)
	f.b.Store(p.base, p.offset, word, address)
	f.b.Store(p.base, p.offset+word, word, f.pid(nil).word)
	return value{typ: t, at: p}
}

func (f *lowering) usym(call *syntax.Call) value {
	return f.ownedAddress(f.typeOf(call), f.number(f.eval(call.Args[0])))
}

func (f *lowering) constantCall(call *syntax.Call) value {
	return value{typ: f.typeOf(call), word: f.constant(f.unit.constants[call])}
}

// uaddr builds the address of a symbol in the process. A binary may be loaded anywhere: as far from where it says as the
// place of the probe is. That is only known at a function, not where it returned to.
func (f *lowering) uaddr(call *syntax.Call) value {
	address := value{typ: f.typeOf(call), word: f.constant(f.unit.constants[call])}
	t := f.unit.targets[0]
	place, _, ok := f.host.UserSymbol(t.Binary, t.Function)
	if f.unit.kind != Uprobe || t.Function == "" || !ok {
		return address
	}
	bias := f.b.Binary(compile.Sub, f.registerWord(instructionRegister(f.machine.Arch)), f.constant(int64(place+t.Offset)))
	address.word = f.b.Binary(compile.Add, address.word, bias)
	return address
}

func (f *lowering) registerWord(name string) *compile.Value {
	offset, _ := registerOffset(f.machine.Arch, name)
	return f.b.Load(f.ctx, int64(offset), word, false)
}

func (f *lowering) register(call *syntax.Call) value {
	name, _ := literalText(call.Args[0])
	return value{typ: f.typeOf(call), word: f.registerWord(name)}
}

func (f *lowering) returned(x *syntax.Name) value {
	t := f.typeOf(x)
	if f.unit.row() != nil {
		return value{typ: t, word: f.standIn("retval")}
	}
	if f.unit.kind == Fexit {
		w := f.b.Load(f.ctx, int64(words(f.unit.args)*word), word, false)
		if t.Kind == Integer {
			w = f.extend(w, t)
		}
		return value{typ: t, word: w}
	}
	return value{typ: t, word: f.registerWord(resultRegister(f.machine.Arch))}
}

// allArgs is args as a whole.
func (f *lowering) allArgs(x *syntax.Name) value {
	return value{typ: f.typeOf(x), at: place{base: f.ctx}}
}

func (f *lowering) contextWord(*syntax.Name) value { return value{word: f.ctx} }

// numbered builds arg0 ... and sarg0 ...
func (f *lowering) numbered(prefix string, number int) *compile.Value {
	switch {
	case f.unit.row() != nil:
		return f.standIn(prefix + itoa(number))
	case f.unit.stand != nil:
		for _, m := range f.unit.args {
			if m.Offset == number && m.Type.isNumber() {
				return f.number(f.functionArgument(m, m.Type))
			}
		}
		return f.b.Load(f.ctx, int64(number*word), word, false) // a part of a structure
	case prefix == "sarg":
		return f.stackArgument(number)
	case f.unit.kind == RawTracepoint:
		return f.b.Load(f.ctx, int64(number*word), word, false)
	case f.unit.kind == USDT:
		return f.operand(number)
	}
	return f.registerWord(argumentRegister(f.machine.Arch, number))
}

// stackArgument is an argument that was passed on the stack: on amd64 above the return
// address.
func (f *lowering) stackArgument(number int) *compile.Value {
	at := int64(number * word)
	if f.machine.Arch == "amd64" {
		at += word
	}
	s := inKernel
	if f.unit.userSpace() {
		s = inUser
	}
	return f.loadAt(place{space: s, base: f.registerWord("sp"), offset: at}, word, false)
}

// operand is an argument of a USDT probe, where its note says.
func (f *lowering) operand(number int) *compile.Value {
	operands, _ := f.host.Arguments(f.unit.targets[0])
	o := operands[number]
	t := Type{Kind: Integer, Size: o.Size, Signed: o.Signed}
	if o.Register == "" && !o.Memory {
		return f.extend(f.constant(o.Offset), t)
	}
	base := f.constant(0)
	if o.Register != "" {
		base = f.registerWord(o.Register)
	}
	if o.Index != "" {
		base = f.b.Binary(compile.Add, base, f.times(f.registerWord(o.Index), o.Scale))
	}
	if !o.Memory {
		return f.extend(base, t)
	}
	return f.loadAt(place{space: inUser, base: base, offset: o.Offset}, o.Size, o.Signed)
}

func (f *lowering) stackName(x *syntax.Name) value    { return f.stack(f.typeOf(x)) }
func (f *lowering) stackCall(call *syntax.Call) value { return f.stack(f.typeOf(call)) }

// stack builds the identifier of the stack in its map.
func (f *lowering) stack(t Type) value {
	f.out.stacks[t.Name] = t.Depth
	f.useMap(t.Name, compile.MapShape{KeySize: 4, ValueSize: t.Depth * word})
	flags := int64(0)
	if t.Kind == UStack {
		flags = userStack
	}
	id := f.b.Call(fnStackID, compile.Word, f.ctx, f.b.Map(t.Name), f.constant(flags))
	if t.Kind == UStack {
		return f.ownedAddress(t, id)
	}
	return value{typ: t, word: id}
}

// signal builds signal().
func (f *lowering) signal(call *syntax.Call) value {
	n := f.constant(f.unit.constants[call])
	if _, named := call.Args[0].(*syntax.String); !named {
		n = f.number(f.eval(call.Args[0]))
	}
	f.b.Call(fnSignal, compile.Word, n)
	return value{}
}

func (f *lowering) override(call *syntax.Call) value {
	f.b.Call(fnOverride, compile.Word, f.ctx, f.number(f.eval(call.Args[0])))
	return value{}
}

func (f *lowering) path(call *syntax.Call) value {
	t := f.typeOf(call)
	p := f.memory(t.stored())
	f.object = true
	v := f.eval(call.Args[0])
	f.object = false
	address := v.word
	if address == nil {
		address = f.address(v.at)
	}
	f.clear(p, t.stored())
	f.b.Call(fnPath, compile.Word, address, f.pointer(p), f.constant(int64(t.Size)))
	return value{typ: t, at: p}
}

func (f *lowering) percpuAddress(call *syntax.Call) value {
	var cpu *compile.Value
	if len(call.Args) == 2 {
		cpu = f.number(f.eval(call.Args[1]))
	} else {
		cpu = f.b.Call(fnProcessor, compile.Word)
	}
	offsets, _ := f.host.KernelSymbol(perCPUOffsets)
	result := f.b.NewVariable(compile.Word)
	f.b.Write(result, f.constant(0))
	f.b.If(f.b.Binary(compile.ULess, cpu, f.constant(int64(f.machine.CPUs))), func() {
		at := f.b.Binary(compile.Add, f.constant(int64(offsets)), f.times(cpu, word))
		base := f.loadAt(place{space: inKernel, base: at}, word, false)
		f.b.Write(result, f.b.Binary(compile.Add, base, f.constant(f.unit.constants[call])))
	}, nil)
	return value{typ: f.typeOf(call), word: f.b.Read(result)}
}

// length builds len() of a map, by a function that the kernel calls for each key, or of
// the stack that there is now.
func (f *lowering) length(call *syntax.Call) value {
	if m, ok := call.Args[0].(*syntax.Map); ok && m.Key == nil {
		count := f.reserve(word)
		f.setShared(count, 0, f.constant(0))
		f.b.Call(fnForEach, compile.Word, f.mapValue(f.maps[m.Name]), f.b.FuncOf(f.counter(count)), f.constant(0), f.constant(0))
		return value{typ: int64Type, word: f.getShared(count, 0)}
	}
	t := f.typeOf(call.Args[0])
	flags := int64(0)
	if t.Kind == UStack {
		flags = userStack
	}
	p := f.memory(t.Depth * word)
	n := f.b.Call(fnStack, compile.Word, f.ctx, f.pointer(p), f.constant(int64(t.Depth*word)), f.constant(flags))
	return value{typ: int64Type, word: f.b.Binary(compile.SDiv, n, f.constant(word))}
}

// counter is the function that counts keys, at a place in scratch memory.
func (f *lowering) counter(count place) string {
	f.main.callbacks++
	name := "count" + itoa(f.main.callbacks)
	inner := &lowering{script: f.script, out: f.out, unit: f.unit, main: f.main}
	inner.b = f.out.builder(name, compile.Word, compile.Map, compile.MapValue, compile.MapValue, compile.Word)
	inner.b.Pos = f.b.Pos
	f.main.funcs = append(f.main.funcs, inner.b.Func)
	inner.openScratch()
	at := inner.sameIn(count)
	inner.setShared(at, 0, inner.b.Binary(compile.Add, inner.getShared(at, 0), inner.constant(1)))
	inner.b.Return(inner.constant(0))
	return name
}

// callSubprogram calls a function of the script, building it where it is first called.
func (f *lowering) callSubprogram(x *syntax.Call, p *subprogram) value {
	var args []*compile.Value
	for _, arg := range x.Args {
		args = append(args, f.number(f.eval(arg)))
	}
	if !f.main.subprograms[x.Name] {
		f.main.subprograms[x.Name] = true
		f.main.ownMemory(func() { f.buildSubprogram(p) })
	}
	w := f.b.CallFunc(x.Name, args...)
	if p.result.Kind == None {
		return value{word: w}
	}
	return value{typ: p.result, word: w}
}

func (f *lowering) buildSubprogram(p *subprogram) {
	params := make([]compile.Type, len(p.params))
	for i := range params {
		params[i] = compile.Word
	}
	inner := &lowering{script: f.script, out: f.out, unit: p.unit, main: f.main, words: map[*variable]compile.Variable{}}
	inner.b = f.out.builder(p.decl.Name, compile.Word, params...)
	inner.b.Pos = p.decl.Pos
	f.main.funcs = append(f.main.funcs, inner.b.Func)
	var values []*compile.Value
	for i := range params {
		values = append(values, inner.b.Parameter(i))
	}
	inner.openScratch()
	inner.declareVariables()
	for i, param := range p.decl.Params {
		inner.b.Write(inner.words[p.unit.vars[param]], values[i])
	}
	inner.block(p.decl.Body)
	inner.leave()
}

// ownMemory keeps the scratch memory that is taken meanwhile for ever: a function is built at
// its first call, and at another one its caller may have more in there.
func (p *program) ownMemory(build func()) {
	most, temporary := p.mostScratch, p.temporary
	p.mostScratch = p.persistent + temporary
	build()
	p.persistent = p.mostScratch
	p.mostScratch = max(most, p.persistent+temporary)
}
