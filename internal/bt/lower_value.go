// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/compile"

// value is the result of an expression: a word, or a place in memory.
type value struct {
	typ Type
	// word of a type that isWord. It may be a pointer to the verifier, such as one to a
	// kernel object or into the context.
	word *compile.Value
	// at is where anything else is.
	at place
}

// space is how the memory of a place is read.
type space uint8

const (
	loaded   space = iota // by loads: frame, map, ring, scratch, context
	followed              // by loads that the verifier follows by BTF
	inKernel              // by a helper, from the kernel's memory
	inUser                // by a helper, from the process's memory
	anywhere              // by a helper that tries both
)

// place is an address: base and an offset in bytes.
type place struct {
	space  space
	base   *compile.Value
	offset int64
	// loose tells that what is behind the end of a text may stay as it is: nobody compares
	// a record of the ring. A helper that fails to read a text leaves an empty one.
	loose bool
}

func (p place) plus(n int) place {
	p.offset += int64(n)
	return p
}

func (f *lowering) isNil(v value) bool { return v.word == nil && v.at.base == nil }

// number is a word that arithmetic may be done on: what the verifier takes for a pointer
// goes through memory first.
func (f *lowering) number(v value) *compile.Value {
	if v.word == nil {
		return f.firstBytes(v)
	}
	if v.word.Type == compile.Word {
		return v.word
	}
	from, to := f.b.Slot(word), f.b.Slot(word)
	f.b.Store(from, 0, word, v.word)
	f.b.Zero(to, 0, word)
	f.b.Call(f.readHelper(inKernel, false), compile.Word, to, f.constant(word), from)
	return f.b.Load(to, 0, word, false)
}

// firstBytes is a word of the first bytes of something in memory, for casts of arrays.
func (f *lowering) firstBytes(v value) *compile.Value {
	if v.at.base == nil {
		return f.constant(0)
	}
	size := 1
	for size < word && size*2 <= v.typ.Size {
		size *= 2
	}
	return f.loadAt(v.at, size, false)
}

// address is the word or pointer that a helper gets as the address of a place.
func (f *lowering) address(p place) *compile.Value {
	if p.offset == 0 {
		return p.base
	}
	return f.b.Binary(compile.Add, p.base, f.constant(p.offset))
}

// loadAt reads a word of 1, 2, 4 or 8 bytes.
func (f *lowering) loadAt(p place, width int, signed bool) *compile.Value {
	switch {
	case p.space == loaded, p.space == followed && f.follows():
		return f.b.Load(p.base, p.offset, width, signed)
	case p.space == followed:
		p.space = inKernel
	}
	slot := f.b.Slot(word)
	f.b.Zero(slot, 0, word)
	f.read(p.space, false, slot, f.constant(int64(width)), f.address(p))
	return f.b.Load(slot, 0, width, signed)
}

// memory is a place for so many bytes until the statement ends: in the frame while there is
// room, else in scratch memory.
func (f *lowering) memory(size int) place {
	size = align(size)
	if size <= smallSlot || f.frame+size <= largestFrame {
		if size > smallSlot {
			f.frame += size
		}
		return place{base: f.b.Slot(size)}
	}
	at := f.main.persistent + f.main.temporary
	f.main.temporary += size
	f.main.mostScratch = max(f.main.mostScratch, at+size)
	if f.scratch == nil {
		return place{base: f.b.Slot(word)} // in the first of two passes only
	}
	return place{base: f.scratch, offset: int64(at)}
}

// Slots of one statement take at most largestFrame bytes of the 512 that the verifier
// allows; small ones are not counted, as the compiler lays them over each other.
const (
	smallSlot    = 32
	largestFrame = 160
)

// pointer is an address that the verifier takes for memory of the program.
func (f *lowering) pointer(p place) *compile.Value { return f.address(p) }

// inMemory is where the bytes of a value can be read by loads, read there if need be.
func (f *lowering) inMemory(v value) place {
	if v.word != nil {
		p := f.memory(word)
		f.b.Store(p.base, p.offset, word, v.word)
		return p
	}
	if v.at.space == loaded && v.at.base != nil && v.at.base.Type != compile.Context {
		return v.at
	}
	p := f.memory(v.typ.stored())
	f.put(p, v.typ, v)
	return p
}

// put stores a value at a place of the type it has there, which is the same but maybe wider.
func (f *lowering) put(to place, t Type, v value) {
	switch {
	case t.isWord():
		f.b.Store(to.base, to.offset, word, f.asWord(v))
	case v.typ.Kind == Record && v.typ.Name == argsRecord:
		f.putArguments(to, t)
	case t.Kind == Tuple && v.typ.Kind == Tuple && t.Size != v.typ.Size:
		f.putTuple(to, t, v)
	default:
		f.putBytes(to, t, v)
	}
}

func (f *lowering) asWord(v value) *compile.Value {
	if v.word != nil {
		return v.word
	}
	return f.firstBytes(v)
}

func (f *lowering) putTuple(to place, t Type, v value) {
	for i, field := range t.Fields {
		inner := v.typ.Fields[i]
		f.put(to.plus(field.Offset), field.Type, f.part(v.at.plus(inner.Offset), inner.Type))
	}
}

// part is a value that is stored at a place as maps and tuples store it.
func (f *lowering) part(p place, t Type) value {
	if t.isWord() {
		return value{typ: t, word: f.b.Load(p.base, p.offset, word, false)}
	}
	return value{typ: t, at: p}
}

func (f *lowering) putBytes(to place, t Type, v value) {
	size, room := min(v.typ.Size, t.Size), t.stored()
	if v.at.base == nil {
		f.clear(to, room)
		return
	}
	switch v.at.space {
	case loaded:
		f.copyLoaded(to, v.at, size)
	case followed:
		f.readInto(to, place{space: inKernel, base: v.at.base, offset: v.at.offset}, t, size)
	default:
		f.readInto(to, v.at, t, size)
	}
	if room > size && v.at.space == loaded {
		if to.loose && t.Kind == String {
			room = size + 1 // the end is enough
		}
		f.clear(to.plus(size), room-size)
	}
}

func (f *lowering) copyLoaded(to, from place, size int) {
	if size == 0 {
		return
	}
	if from.base.Type == compile.Context {
		for at := 0; at < size; {
			width := word
			for width > size-at || (int(from.offset)+at)%width != 0 || (int(to.offset)+at)%width != 0 {
				width /= 2
			}
			w := f.b.Load(from.base, from.offset+int64(at), width, false)
			f.b.Store(to.base, to.offset+int64(at), width, w)
			at += width
		}
		return
	}
	if size > inline && f.host.Helper(fnReadKernel, f.unit.kind) {
		f.b.Call(fnReadKernel, compile.Word, f.pointer(to), f.constant(int64(size)), f.address(from))
		return
	}
	f.b.Copy(to.base, to.offset, f.address(from), size)
}

// inline is how many bytes are cleared or copied word by word; more are by a helper, which
// is slower than that (27 ns in place of 12 for a text of 1024 bytes) but a single call.
const inline = 2048

// clear sets bytes to 0. The helper that reads the kernel's memory clears what it is to fill
// where it cannot read, and on amd64 it does not even try to read at 0.
func (f *lowering) clear(to place, size int) {
	if size > inline && f.machine.Arch == "amd64" && f.host.Helper(fnReadKernel, f.unit.kind) {
		f.b.Call(fnReadKernel, compile.Word, f.pointer(to), f.constant(int64(size)), f.constant(0))
		return
	}
	f.b.Zero(to.base, to.offset, size)
}

// readInto reads bytes by a helper: up to the first 0 of a text.
func (f *lowering) readInto(to, from place, t Type, size int) {
	if !to.loose || t.Kind != String {
		f.clear(to, t.stored())
	}
	if t.Kind == String && size < t.stored() {
		size++ // the helper ends the text with a 0, which an array of char may not have
	}
	f.read(from.space, t.Kind == String, f.pointer(to), f.constant(int64(size)), f.address(from))
}
