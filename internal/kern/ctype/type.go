// SPDX-License-Identifier: Apache-2.0

package ctype

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// Kind is what a type is.
type Kind uint8

// The kinds of types.
const (
	Void Kind = iota
	Integer
	Float
	Pointer
	Array
	Record // a structure or union
	Enum
	Function
)

// Type is a type of C, its typedefs and qualifiers taken off.
type Type struct {
	Kind   Kind
	Size   int // in bytes
	Signed bool
	Bool   bool
	// Char tells that an integer is a char, of which an array is a string.
	Char bool
	// Ref of a Record is what Members takes: "struct x", or one of this package's making
	// for one without a name. Of an Enum it is the name, if there is one.
	Ref string
	// Elem is what a Pointer points to, or an Array consists of; Count of how many.
	Elem  *Type
	Count int
	// User tells that a pointer is into the memory of a process (__user).
	User bool
	// PerCPU tells that a variable is one of each CPU (__percpu).
	PerCPU bool
}

// Member is one of a structure, or a parameter.
type Member struct {
	Name   string
	Type   Type
	Offset int // in bytes; of a parameter the number of its first word among those of all
	// BitOffset, from Offset and the lowest bit, and BitSize of a bit field, else 0.
	BitOffset, BitSize int
}

// Func is how a function is called.
type Func struct {
	Params []Member
	Result Type
}

// word is what a register holds, in bytes. A structure that is passed by value takes up to two.
const word = 8

func function(in scope, t btf.Type) (Func, bool) {
	proto, ok := t.(*btf.FuncProto)
	if !ok {
		return Func{}, false
	}
	f := Func{Result: convert(in, proto.Return)}
	at := 0
	for _, p := range proto.Params {
		t := convert(in, p.Type)
		f.Params = append(f.Params, Member{Name: p.Name, Type: t, Offset: at})
		at += max(1, (t.Size+word-1)/word)
	}
	return f, true
}

// deepest is how far pointers and arrays are followed: what is behind has a Ref.
const deepest = 6

func convert(in scope, t btf.Type) Type { return convertTo(in, t, 0) }

func convertTo(in scope, t btf.Type, depth int) Type {
	name := ""
	user, perCPU := false, false
	for {
		switch q := t.(type) {
		case *btf.Typedef:
			if name == "" {
				name = q.Name
			}
			t = q.Type
			continue
		case *btf.Const:
			t = q.Type
			continue
		case *btf.Volatile:
			t = q.Type
			continue
		case *btf.Restrict:
			t = q.Type
			continue
		case *btf.TypeTag:
			user, perCPU = user || q.Value == "user", perCPU || q.Value == "percpu"
			t = q.Type
			continue
		}
		break
	}
	out := plain(in, t, depth)
	out.User, out.PerCPU = out.User || user, out.PerCPU || perCPU
	return out
}

func plain(in scope, t btf.Type, depth int) Type {
	switch t := t.(type) {
	case *btf.Int:
		return Type{Kind: Integer, Size: int(t.Size), Signed: t.Encoding&btf.Signed != 0,
			Bool: t.Encoding == btf.Bool, Char: t.Size == 1 && (t.Encoding&btf.Char != 0 || t.Name == "char")}
	case *btf.Float:
		return Type{Kind: Float, Size: int(t.Size)}
	case *btf.Enum:
		return Type{Kind: Enum, Size: int(t.Size), Signed: t.Signed, Ref: t.Name}
	case *btf.Struct:
		return Type{Kind: Record, Size: int(t.Size), Ref: reference(in, t, "struct", t.Name)}
	case *btf.Union:
		return Type{Kind: Record, Size: int(t.Size), Ref: reference(in, t, "union", t.Name)}
	case *btf.Fwd:
		return Type{Kind: Record, Ref: t.Kind.String() + " " + t.Name}
	case *btf.Pointer:
		return pointer(in, t, depth)
	case *btf.Array:
		if depth >= deepest {
			return Type{}
		}
		elem := convertTo(in, t.Type, depth+1)
		return Type{Kind: Array, Size: elem.Size * int(t.Nelems), Elem: &elem, Count: int(t.Nelems)}
	case *btf.FuncProto:
		return Type{Kind: Function}
	}
	return Type{}
}

// pointer takes over what is said of the memory pointed to: BTF says it there.
func pointer(in scope, t *btf.Pointer, depth int) Type {
	out := Type{Kind: Pointer, Size: 8}
	if depth >= deepest {
		return out
	}
	elem := convertTo(in, t.Target, depth+1)
	out.User, out.PerCPU = elem.User, elem.PerCPU
	elem.User, elem.PerCPU = elem.User && elem.Kind == Pointer, false
	out.Elem = &elem
	return out
}

func reference(in scope, t btf.Type, tag, name string) string {
	if name != "" {
		return tag + " " + name
	}
	id, err := in.spec.TypeID(t)
	if err != nil {
		return ""
	}
	if in.module != "" {
		return fmt.Sprintf("#%d %s", id, in.module)
	}
	return fmt.Sprintf("#%d", id)
}
