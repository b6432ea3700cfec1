// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// target is the place that a pointer, or a number used as one, points to.
func (f *lowering) target(v value) place {
	if v.word == nil {
		return v.at
	}
	switch {
	case v.word.Type == compile.Kernel && v.typ.Elem != nil && v.typ.Elem.Kind == Record:
		return place{space: followed, base: v.word}
	case v.word.Type == compile.Context:
		return place{space: inKernel, base: v.word}
	}
	return place{space: f.spaceOf(v.typ), base: f.number(v)}
}

// spaceOf says how memory that a value points to is read.
func (f *lowering) spaceOf(t Type) space {
	switch {
	case t.User:
		return inUser
	case f.unit.anySpace():
		return anywhere
	}
	return inKernel
}

// follows tells whether objects of the kernel are read by loads, which read 0 where nothing can be
// read and do not tell; a helper does, and what it has read the verifier does not follow.
func (f *lowering) follows() bool { return !f.options.HelperErrors || f.object }

// load reads a value as the kernel or C stores it.
func (f *lowering) load(p place, t Type) value {
	switch {
	case t.Kind == Pointer && p.space == followed && f.follows() && t.Elem != nil && t.Elem.Kind == Record && !t.User:
		return value{typ: t, word: f.b.LoadPtr(p.base, p.offset, compile.Kernel)}
	case t.Kind == Integer || t.Kind == Pointer:
		return value{typ: t, word: f.loadAt(p, max(1, t.Size), t.Signed)}
	}
	return value{typ: t, at: p}
}

// field builds base.name and base->name.
func (f *lowering) field(x *syntax.Field) value {
	if name, ok := x.Base.(*syntax.Name); ok && f.typeOf(name).Name == argsRecord {
		return f.argument(x)
	}
	base := f.eval(x.Base)
	if base.typ.Fields != nil && base.word == nil {
		for _, field := range base.typ.Fields {
			if field.Name == x.Name {
				return f.part(base.at.plus(field.Offset), field.Type)
			}
		}
	}
	record, at := base.typ, base.at
	if record.Kind == Pointer && record.Elem != nil {
		at = f.target(base)
		record = *record.Elem
	}
	m, _ := f.findMember(record.Name, x.Name, 0)
	if at.space == followed && nullable[record.Name+"."+x.Name] {
		at.space = inKernel
	}
	return f.member(at, m, f.typeOf(x))
}

// nullable are the pointers in the kernel's objects that its verifier lets nobody follow
// without a look whether they are 0 (BTF_TYPE_SAFE_RCU_OR_NULL and BTF_TYPE_SAFE_TRUSTED_OR_NULL
// of kernel/bpf/verifier.c). They are read by a helper instead.
var nullable = map[string]bool{
	"struct sk_buff.sk": true, "struct request_sock.sk": true, "struct mm_struct.exe_file": true, "struct socket.sk": true,
	"struct dentry.d_inode": true, "struct vm_area_struct.vm_mm": true, "struct vm_area_struct.vm_file": true,
}

// member reads a member of a structure at a place.
func (f *lowering) member(at place, m Member, t Type) value {
	if m.BitSize > 0 {
		return value{typ: t, word: f.bits(at.plus(m.Offset), m)}
	}
	return f.load(at.plus(m.Offset), t)
}

// bits reads a bit field: the bytes around it, shifted to the top and back. It has no sign, as
// in the reference, whatever its type.
func (f *lowering) bits(at place, m Member) *compile.Value {
	start := m.BitOffset
	at = at.plus(start / 8)
	start %= 8
	width := 1
	for width*8 < start+m.BitSize && width < word {
		width *= 2
	}
	if int(at.offset)%width != 0 && at.space != inKernel && at.space != inUser {
		back := int(at.offset) % width
		at, start = at.plus(-back), start+back*8
		for width*8 < start+m.BitSize && width < word {
			width *= 2
		}
	}
	w := f.loadAt(at, width, false)
	w = f.b.Binary(compile.Shl, w, f.constant(int64(64-start-m.BitSize)))
	return f.b.Binary(compile.LShr, w, f.constant(int64(64-m.BitSize)))
}

// index builds base[index].
func (f *lowering) index(x *syntax.Index) value {
	base, t := f.eval(x.Base), f.typeOf(x)
	size := max(1, t.Size)
	if base.typ.Elem != nil {
		size = max(1, base.typ.Elem.Size)
	}
	var at place
	if base.typ.Kind == Pointer {
		at = f.target(base)
	} else {
		at = base.at
	}
	if n, ok := constantOf(x.Index); ok {
		return f.load(at.plus(int(n)*size), t)
	}
	index := f.number(f.eval(x.Index))
	return f.load(f.element(base, at, index, size), t)
}

// element is the place of an element whose number is not constant.
func (f *lowering) element(base value, at place, index *compile.Value, size int) place {
	switch at.space {
	case loaded:
		at = f.inMemory(value{typ: base.typ, at: at})
		count := int64(max(1, base.typ.Size/size))
		index = f.bounded(index, count)
		at.base = f.b.Binary(compile.Add, at.base, f.times(index, int64(size)))
		return at
	case followed:
		at = place{space: inKernel, base: f.number(value{typ: base.typ, word: at.base}), offset: at.offset}
	}
	at.base = f.b.Binary(compile.Add, at.base, f.times(index, int64(size)))
	return at
}

// bounded is an index, or 0 where it is not below count: the verifier wants to see that.
func (f *lowering) bounded(index *compile.Value, count int64) *compile.Value {
	v := f.b.NewVariable(compile.Word)
	f.b.Write(v, index)
	f.b.If(f.b.Binary(compile.ULess, index, f.constant(count)), func() {}, func() { f.b.Write(v, f.constant(0)) })
	return f.b.Read(v)
}

// argument builds args.name.
func (f *lowering) argument(x *syntax.Field) value {
	t := f.typeOf(x)
	for _, m := range f.unit.args {
		if m.Name != x.Name {
			continue
		}
		return f.argumentOf(m, t)
	}
	return value{typ: t, word: f.constant(0)}
}

// putArguments keeps args as a whole.
func (f *lowering) putArguments(to place, t Type) {
	for _, field := range t.Fields {
		for _, m := range f.unit.args {
			if m.Name == field.Name {
				f.put(to.plus(field.Offset), field.Type, f.argumentOf(m, field.Type))
			}
		}
	}
}

func (f *lowering) argumentOf(m Member, t Type) value {
	if f.unit.row() != nil {
		return value{typ: t, word: f.extend(f.standIn("arg"+itoa(m.Offset)), t)}
	}
	if f.unit.kind == Tracepoint {
		return f.tracepointField(m, t)
	}
	return f.functionArgument(m, t)
}

func (f *lowering) tracepointField(m Member, t Type) value {
	if !m.Dynamic {
		return f.member(place{base: f.ctx}, m, t)
	}
	offset := f.b.Load(f.ctx, int64(m.Offset), 4, false)
	offset = f.b.Binary(compile.And, offset, f.constant(0xffff))
	if m.Relative {
		offset = f.b.Binary(compile.Add, offset, f.constant(int64(m.Offset)+4))
	}
	base := f.b.Binary(compile.Add, f.ctx, offset)
	if t.Kind == String {
		return value{typ: t, at: place{space: inKernel, base: base}}
	}
	return value{typ: t, word: base}
}

// functionArgument is one of a function or raw tracepoint, by its number.
func (f *lowering) functionArgument(m Member, t Type) value {
	switch f.unit.kind {
	case Kprobe, Uprobe:
		w := f.registerWord(argumentRegister(f.machine.Arch, min(m.Offset, argumentsInRegisters(f.machine.Arch)-1)))
		return value{typ: t, word: f.extend(w, t)}
	}
	offset := int64(m.Offset * word)
	if f.unit.kind == Iterator {
		offset = int64(m.Offset)
	}
	if t.Kind == Pointer && t.Elem != nil && t.Elem.Kind == Record && f.machine.TypedArguments[f.unit.kind] && !t.User {
		if p := f.iterated[m.Offset]; p != nil {
			return value{typ: t, word: p}
		}
		return value{typ: t, word: f.b.LoadPtr(f.ctx, offset, compile.Kernel)}
	}
	if !t.isNumber() {
		return value{typ: t, at: place{base: f.ctx, offset: offset}}
	}
	return value{typ: t, word: f.extend(f.b.Load(f.ctx, offset, word, false), t)}
}

// openIterator ends the program where an iterator has no object: it is called once more at
// the end of all.
func (f *lowering) openIterator() {
	if f.unit.kind != Iterator || !f.machine.TypedArguments[Iterator] {
		return
	}
	f.iterated = map[int]*compile.Value{}
	for _, m := range f.unit.args {
		if m.Type.Kind != Pointer || m.Type.Elem == nil || m.Type.Elem.Kind != Record || m.Name == "meta" {
			continue
		}
		p := f.b.LoadPtr(f.ctx, int64(m.Offset), compile.Kernel)
		f.require(f.b.Binary(compile.NotEqual, p, f.constant(0)))
		f.iterated[m.Offset] = p
	}
}
