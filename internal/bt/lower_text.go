// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"net/netip"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

func (f *lowering) call(x *syntax.Call) value {
	if p := f.subprograms[x.Name]; p != nil {
		return f.callSubprogram(x, p)
	}
	v := f.functions[x.Name].lower(f, x)
	if f.isNil(v) {
		v = value{word: f.constant(0)}
	}
	return v
}

func (f *lowering) str(x *syntax.Call) value { return f.inPlace(x, f.typeOf(x)) }
func (f *lowering) buf(x *syntax.Call) value { return f.inPlace(x, f.typeOf(x)) }

// textAt is where str() reads.
func (f *lowering) textAt(x *syntax.Call) place {
	if s, ok := x.Args[0].(*syntax.String); ok && x.Name == "buf" { // with any byte
		p := f.memory(align(len(s.Value) + 1))
		f.putText(p, align(len(s.Value)+1), s.Value)
		return p
	}
	v := f.eval(x.Args[0])
	var at place
	if v.word == nil {
		at = v.at
	} else if v.word.Type == compile.Word {
		at = place{space: f.spaceOf(v.typ), base: v.word}
	} else {
		at = place{space: inKernel, base: v.word}
	}
	switch x.Name {
	case "kstr":
		at.space = inKernel
	case "ustr":
		at.space = inUser
	}
	return at
}

// strInto builds str() where the text is to be.
func (f *lowering) strInto(to place, t Type, x *syntax.Call) bool {
	at := f.textAt(x)
	own := f.typeOf(x)
	size := min(own.Size, t.Size)
	if at.space == loaded {
		f.put(to, t, value{typ: stringType(min(size, max(1, f.typeOf(x.Args[0]).Size))), at: at})
		f.cutText(to, t, x)
		return true
	}
	if at.space == followed {
		at.space = inKernel
	}
	n := f.constant(int64(size))
	if len(x.Args) == 2 {
		n = f.lengthOf(x.Args[1], size)
	}
	if !to.loose {
		f.clear(to, t.stored())
	}
	f.read(at.space, true, f.pointer(to), n, f.address(at))
	return true
}

// cutText ends a copied text where str() was told to.
func (f *lowering) cutText(to place, t Type, x *syntax.Call) {
	if len(x.Args) < 2 {
		return
	}
	if n, ok := constantOf(x.Args[1]); ok && n >= 0 && int(n) <= t.stored() {
		at := int(max(n-1, 0))
		f.clear(to.plus(at), t.stored()-at)
	}
}

// lengthOf is how many bytes str() reads, the 0 at the end included: at most size.
func (f *lowering) lengthOf(x syntax.Expr, size int) *compile.Value {
	if n, ok := constantOf(x); ok {
		return f.constant(min(max(0, n), int64(size)))
	}
	return f.clamp(f.number(f.eval(x)), int64(size))
}

// clamp is a number, or most where it is above.
func (f *lowering) clamp(n *compile.Value, most int64) *compile.Value {
	v := f.b.NewVariable(compile.Word)
	f.b.Write(v, n)
	f.b.If(f.b.Binary(compile.ULess, f.constant(most), n), func() { f.b.Write(v, f.constant(most)) }, nil)
	return f.b.Read(v)
}

// bufInto builds buf(): 4 bytes of length, then the bytes.
func (f *lowering) bufInto(to place, t Type, x *syntax.Call) {
	most := int64(min(f.typeOf(x).Size, t.Size) - 4)
	n := f.constant(most)
	if len(x.Args) == 2 {
		if c, ok := constantOf(x.Args[1]); ok {
			n = f.constant(min(c, most))
		} else {
			n = f.clamp(f.number(f.eval(x.Args[1])), most)
		}
	}
	at := f.textAt(x)
	f.clear(to, t.stored())
	f.b.Store(to.base, to.offset, 4, n)
	if at.space == loaded {
		f.copyLoaded(to.plus(4), f.inMemory(value{typ: f.typeOf(x.Args[0]), at: at}), int(most))
		return
	}
	if at.space == followed {
		at.space = inKernel
	}
	f.read(at.space, false, f.pointer(to.plus(4)), n, f.address(at))
}

// commInto builds comm where it is to be. Not every kernel fills what is behind the name (6.1
// does not), and it may be a key.
func (f *lowering) commInto(to place, t Type) {
	if !to.loose {
		f.clear(to, t.stored())
	}
	f.b.Call(fnComm, compile.Word, f.pointer(to), f.constant(16))
}

// strncmp is 0 if the first n bytes of two texts are the same.
func (f *lowering) strncmp(x *syntax.Call) value {
	n64, _ := constantOf(x.Args[2])
	a, b := f.evalText(x.Args[0]), f.evalText(x.Args[1])
	n := min(int(n64), a.typ.Size, b.typ.Size)
	if n == 0 {
		return value{typ: uint64Type, word: f.constant(0)}
	}
	if s, ok := literalText(x.Args[1]); ok {
		prefix := (s + "\x00")[:min(n, len(s)+1)]
		return value{typ: uint64Type, word: f.samePrefix(false, f.inMemory(a), prefix)}
	}
	return value{typ: uint64Type, word: f.textsDiffer(f.inMemory(a), f.inMemory(b), n)}
}

// strcontains tells whether a text has another in it: at each place, byte by byte.
func (f *lowering) strcontains(x *syntax.Call) value {
	haystack := f.eval(x.Args[0])
	needle, ok := literalText(x.Args[1])
	if !ok {
		return f.containsText(haystack, f.eval(x.Args[1]))
	}
	if haystack.typ.Size > searchedInline && f.host.Helper(fnLoop, f.unit.kind) {
		return f.search(haystack, f.inPlace(x.Args[1], stringType(len(needle)+1)))
	}
	at := f.inMemory(haystack)
	found, result := f.b.NewBlock(), f.b.NewVariable(compile.Word)
	for start := 0; start+len(needle) < haystack.typ.Size || start == 0; start++ {
		other := f.b.NewBlock()
		if start+len(needle) <= haystack.typ.Size {
			f.matchAt(at.plus(start), needle, other)
			f.b.Jump(found)
		} else {
			f.b.Jump(other)
		}
		f.b.Seal(other)
		f.b.Enter(other)
	}
	return f.found(found, result)
}

// matchAt goes on where a text begins with another.
func (f *lowering) matchAt(at place, text string, other *compile.Block) {
	for i := range len(text) {
		c := f.b.Load(at.base, at.offset+int64(i), 1, false)
		f.unless(f.b.Binary(compile.Equal, c, f.constant(int64(text[i]))), other)
	}
}

// found is 1 where a block is, and 0 here.
func (f *lowering) found(block *compile.Block, result compile.Variable) value {
	after := f.b.NewBlock()
	f.b.Write(result, f.constant(0))
	f.b.Jump(after)
	f.b.Seal(block)
	f.b.Enter(block)
	f.b.Write(result, f.constant(1))
	f.b.Jump(after)
	f.b.Seal(after)
	f.b.Enter(after)
	return value{typ: int64Type, word: f.b.Read(result)}
}

// containsText looks for a text that is not known before.
func (f *lowering) containsText(haystack, needle value) value {
	if f.host.Helper(fnLoop, f.unit.kind) {
		return f.search(haystack, needle)
	}
	a, b := f.inMemory(haystack), f.inMemory(needle)
	found, result := f.b.NewBlock(), f.b.NewVariable(compile.Word)
	for start := range haystack.typ.Size {
		other, matched := f.b.NewBlock(), f.b.NewBlock()
		for i := 0; i < needle.typ.Size; i++ {
			want := f.b.Load(b.base, b.offset+int64(i), 1, false)
			f.unless(f.b.Binary(compile.NotEqual, want, f.constant(0)), matched)
			if start+i >= haystack.typ.Size {
				f.b.Jump(other)
				break
			}
			f.unless(f.b.Binary(compile.Equal, want, f.b.Load(a.base, a.offset+int64(start+i), 1, false)), other)
		}
		f.b.Jump(matched)
		f.b.Seal(matched)
		f.b.Enter(matched)
		f.b.Jump(found)
		f.b.Seal(other)
		f.b.Enter(other)
	}
	return f.found(found, result)
}

func (f *lowering) strftime(x *syntax.Call) value {
	return value{typ: f.typeOf(x), word: f.number(f.eval(x.Args[1]))}
}

// relabel gives a word another type.
func (f *lowering) relabel(x *syntax.Call) value {
	v := f.eval(x.Args[0])
	if v.word == nil {
		v.word = f.firstBytes(v)
	}
	if f.typeOf(x).Kind != Pointer {
		return value{typ: f.typeOf(x), word: v.word}
	}
	return value{typ: f.typeOf(x), word: f.number(v)}
}

func (f *lowering) bswap(x *syntax.Call) value {
	t := f.typeOf(x)
	n := f.number(f.eval(x.Args[0]))
	if t.Size > 1 {
		n = f.b.Value(compile.Value{Op: compile.Swap, Type: compile.Word, Args: []*compile.Value{n}, Width: t.Size})
	} else {
		n = f.b.Extend(n, 1, false)
	}
	return value{typ: t, word: n}
}

// Address families, as in the kernel's linux/socket.h.
const (
	familyInet  = 2
	familyInet6 = 10
)

// ntop builds an address: the family, then 16 bytes.
func (f *lowering) ntop(x *syntax.Call) value {
	arg := x.Args[len(x.Args)-1]
	v := f.eval(arg)
	family := f.constant(familyInet)
	if v.word == nil && v.typ.Size == 16 {
		family = f.constant(familyInet6)
	}
	if len(x.Args) == 2 {
		family = f.number(f.eval(x.Args[0]))
	}
	p := f.memory(3 * word)
	f.b.Zero(p.base, p.offset, 3*word)
	f.b.Store(p.base, p.offset, word, family)
	if v.word != nil {
		f.b.Store(p.base, p.offset+word, 4, f.number(v))
	} else {
		t := Type{Kind: Buffer, Size: v.typ.Size}
		f.put(p.plus(word), t, value{typ: t, at: v.at})
	}
	return value{typ: f.typeOf(x), at: p}
}

func (f *lowering) pton(x *syntax.Call) value {
	t := f.typeOf(x)
	text, _ := literalText(x.Args[0])
	address, _ := netip.ParseAddr(text)
	p := f.memory(t.stored())
	bytes := string(address.AsSlice())
	for at := 0; at < t.stored(); at += word {
		n := int64(0)
		if at < len(bytes) {
			n = littleEndian(bytes[at:])
		}
		f.b.Store(p.base, p.offset+int64(at), word, f.constant(n))
	}
	return value{typ: t, at: p}
}

func (f *lowering) macaddr(x *syntax.Call) value {
	v := f.eval(x.Args[0])
	p := f.memory(word)
	if v.word != nil {
		f.b.Store(p.base, p.offset, word, f.number(v))
	} else {
		t := Type{Kind: Buffer, Size: 6}
		f.put(p, t, value{typ: t, at: v.at})
	}
	return value{typ: f.typeOf(x), at: p}
}
