// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern/ctype"
	"github.com/skep-io/skep/internal/kern/tracefs"
)

// converted is a type of C as the language knows it.
func converted(t ctype.Type) bt.Type {
	switch t.Kind {
	case ctype.Integer:
		out := bt.Type{Kind: bt.Integer, Size: t.Size, Signed: t.Signed}
		if t.Char {
			out.Name = "char"
		}
		return out
	case ctype.Enum:
		out := bt.Type{Kind: bt.Integer, Size: t.Size, Signed: t.Signed}
		if t.Ref != "" {
			out.Name = "enum " + t.Ref
		}
		return out
	case ctype.Pointer:
		out := bt.Type{Kind: bt.Pointer, Size: t.Size, User: t.User}
		if t.Elem != nil && t.Elem.Kind != ctype.Void && t.Elem.Kind != ctype.Function {
			elem := converted(*t.Elem)
			out.Elem = &elem
		}
		return out
	case ctype.Array:
		elem := converted(*t.Elem)
		return bt.Type{Kind: bt.ArrayOf, Size: t.Size, Elem: &elem}
	case ctype.Record:
		return bt.Type{Kind: bt.Record, Size: t.Size, Name: t.Ref}
	}
	return bt.Type{}
}

func members(in []ctype.Member) []bt.Member {
	out := make([]bt.Member, 0, len(in))
	for _, m := range in {
		out = append(out, bt.Member{Name: m.Name, Type: converted(m.Type), Offset: m.Offset, BitOffset: m.BitOffset, BitSize: m.BitSize})
	}
	return out
}

// Type implements [bt.Host].
func (h *Host) Type(name string) (bt.Type, bool) {
	t, ok := h.Types.Type(name)
	return converted(t), ok
}

// Members implements [bt.Host].
func (h *Host) Members(name string) ([]bt.Member, bool) {
	found, ok := h.Types.Members(name)
	return members(found), ok
}

// EnumValue implements [bt.Host].
func (h *Host) EnumValue(name string) (value int64, enum string, ok bool) {
	value, enum, ok = h.Types.EnumValue(name)
	if enum != "" {
		enum = "enum " + enum
	}
	if !ok {
		value, ok = errorNumber(name)
	}
	return value, enum, ok
}

// mostErrors is more than there are numbers of errors.
const mostErrors = 256

// errorNumber is the number of an error by its name, such as EPERM, which a header defines
// and BTF does not have.
func errorNumber(name string) (int64, bool) {
	if !strings.HasPrefix(name, "E") {
		return 0, false
	}
	for n := range syscall.Errno(mostErrors) {
		if unix.ErrnoName(n) == name {
			return int64(n), true
		}
	}
	return 0, false
}

// EnumName is the name of a value of "enum x", "" if it has none.
func (h *Host) EnumName(enum string, value int64) string {
	return h.Types.EnumName(strings.TrimPrefix(enum, "enum "), value)
}

// Signature implements [bt.Host].
func (h *Host) Signature(kind bt.ProbeKind, target bt.Target) (bt.Signature, bool) {
	var f ctype.Func
	ok := false
	switch kind {
	case bt.RawTracepoint:
		f, ok = h.Types.RawTracepoint(target.Event)
	case bt.Kprobe, bt.Kretprobe, bt.Fentry, bt.Fexit:
		f, ok = h.function(kind, target)
	case bt.Iterator:
		// What an iterator's context offers is struct bpf_iter__NAME.
		found, known := h.Types.Members("struct bpf_iter__" + target.Event)
		f.Params, ok = throughUnions(h.Types, found), known
	}
	return bt.Signature{Params: members(f.Params), Result: converted(f.Result)}, ok
}

// function finds how a function is called, in the kernel itself or in its module.
func (h *Host) function(kind bt.ProbeKind, target bt.Target) (ctype.Func, bool) {
	module := target.Module // of fentry and fexit that of the place, of others a pattern
	if kind == bt.Kprobe || kind == bt.Kretprobe {
		if f, ok := h.Types.Function("", target.Function); ok {
			return f, true
		}
		s, ok := h.Symbols.Named(target.Function)
		if module = s.Module; !ok || module == "" {
			return ctype.Func{}, false
		}
	} else if module == vmlinux {
		module = ""
	}
	return h.Types.Function(module, target.Function)
}

// throughUnions looks into the unions without a name that hold the pointers of an iterator's
// context, each for its alignment (__bpf_md_ptr).
func throughUnions(k *ctype.Kernel, in []ctype.Member) []ctype.Member {
	var out []ctype.Member
	for _, m := range in {
		inner, ok := k.Members(m.Type.Ref)
		if m.Name != "" || !ok || len(inner) == 0 {
			out = append(out, m)
			continue
		}
		for _, one := range inner {
			if one.Name != "" {
				one.Offset += m.Offset
				out = append(out, one)
			}
		}
	}
	return out
}

// Tracepoint implements [bt.Host].
func (h *Host) Tracepoint(category, event string) ([]bt.Member, bool) {
	fs, err := h.fs()
	if err != nil {
		return nil, false
	}
	fields, err := fs.Format(category, event)
	if err != nil {
		return nil, false
	}
	out := make([]bt.Member, 0, len(fields))
	for _, f := range fields {
		out = append(out, bt.Member{Name: f.Name, Type: h.fieldType(f), Offset: f.Offset, Dynamic: f.Dynamic, Relative: f.Relative})
	}
	return out, true
}

// fieldType is the type of a tracepoint's field: its size and sign are as the format says,
// what it points to as BTF says.
func (h *Host) fieldType(f tracefs.Field) bt.Type {
	if pointee, ok := strings.CutSuffix(f.Type, "*"); ok && !f.Array {
		return h.pointerTo(pointee)
	}
	name := strings.TrimSpace(strings.TrimPrefix(f.Type, "const "))
	if f.Array {
		return h.arrayType(f, name)
	}
	if tag, _, ok := strings.Cut(name, " "); ok && (tag == "struct" || tag == "union") {
		if t, ok := h.Type(name); ok && t.Size == f.Size {
			return t
		}
	}
	t := bt.Type{Kind: bt.Integer, Size: f.Size, Signed: f.Signed}
	if strings.HasPrefix(name, "enum ") {
		t.Name = name
	}
	return t
}

func (h *Host) arrayType(f tracefs.Field, name string) bt.Type {
	elem := bt.Type{Kind: bt.Integer, Size: 1, Signed: f.Signed}
	switch {
	case name == "char":
		elem.Name, elem.Signed = "char", true
	case f.Count > 0 && f.Size%f.Count == 0:
		elem.Size = f.Size / f.Count
	default:
		if t, ok := h.Type(name); ok && t.Size > 0 {
			elem = t
		}
	}
	size := f.Size
	if f.Dynamic {
		size = 0
	}
	return bt.Type{Kind: bt.ArrayOf, Size: size, Elem: &elem}
}

func (h *Host) pointerTo(name string) bt.Type {
	out := bt.Type{Kind: bt.Pointer, Size: 8}
	name = strings.ReplaceAll(name, "*", " * ")
	name = strings.TrimSpace(strings.ReplaceAll(" "+name+" ", " const ", " "))
	if before, ok := strings.CutSuffix(name, "*"); ok {
		elem := h.pointerTo(before)
		out.Elem = &elem
		return out
	}
	if name == "char" {
		out.Elem = &bt.Type{Kind: bt.Integer, Size: 1, Signed: true, Name: "char"}
	} else if t, ok := h.Type(name); ok {
		out.Elem = &t
	}
	return out
}
