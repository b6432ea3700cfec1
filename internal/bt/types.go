// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"fmt"
	"strings"
)

// The integers of the language. In registers, variables, keys and records every integer
// has 64 bits: Size tells what it was cut to when it was made.
var (
	int64Type  = Type{Kind: Integer, Size: 8, Signed: true}
	uint64Type = Type{Kind: Integer, Size: 8}
	uint32Type = Type{Kind: Integer, Size: 4}
	noType     = Type{}
)

const word = 8 // bytes

// integerNames are the types of the language itself, which need no kernel.
func integerNamed(name string) (Type, bool) {
	sizes := map[string]Type{
		"int8": {Size: 1, Signed: true}, "int16": {Size: 2, Signed: true},
		"int32": {Size: 4, Signed: true}, "int64": {Size: 8, Signed: true},
		"uint8": {Size: 1}, "uint16": {Size: 2}, "uint32": {Size: 4}, "uint64": {Size: 8},
		"char": {Size: 1, Signed: true}, "short": {Size: 2, Signed: true},
		"int": {Size: 4, Signed: true}, "long": {Size: 8, Signed: true},
		"bool": {Size: 1}, "size_t": {Size: 8}, "uintptr_t": {Size: 8},
		"int8_t": {Size: 1, Signed: true}, "int16_t": {Size: 2, Signed: true},
		"int32_t": {Size: 4, Signed: true}, "int64_t": {Size: 8, Signed: true},
		"uint8_t": {Size: 1}, "uint16_t": {Size: 2}, "uint32_t": {Size: 4}, "uint64_t": {Size: 8},
		"unsigned int": {Size: 4}, "unsigned long": {Size: 8}, "unsigned char": {Size: 1},
		"unsigned short": {Size: 2}, "long long": {Size: 8, Signed: true},
		"unsigned long long": {Size: 8}, "unsigned": {Size: 4},
		"signed char": {Size: 1, Signed: true},
	}
	t, ok := sizes[name]
	t.Kind = Integer
	return t, ok
}

func stringType(size int) Type { return Type{Kind: String, Size: size} }

func pointerTo(elem Type) Type { return Type{Kind: Pointer, Size: word, Elem: &elem} }

// isNumber tells whether a value of the type is a word that arithmetic is done on.
func (t Type) isNumber() bool { return t.Kind == Integer || t.Kind == Pointer }

// isWord tells whether values are kept in a register.
func (t Type) isWord() bool {
	switch t.Kind {
	case Integer, Pointer, Timestamp, CgroupPath, UserName, KSymbol, KernelErrno, Strerror, SignalName, ProbeName, KStack, Container, Pod:
		return true
	}
	return false
}

// isAggregate tells whether a type is only ever the value of a per-CPU map.
func (t Type) isAggregate() bool { return t.Kind >= CountOf }

// isCastable tells whether an aggregate can be read as one integer.
func (t Type) isCastable() bool { return t.Kind >= CountOf && t.Kind <= AvgOf }

// stored is how many bytes a value takes in a map, a tuple or a record. There are types of
// no size, such as a tuple of nothing: a place has at least a word.
func (t Type) stored() int {
	if t.isWord() {
		return word
	}
	return max(word, align(t.Size))
}

func align(n int) int { return (n + word - 1) &^ (word - 1) }

// tupleOf lays out types one behind the other, each aligned to 8 bytes.
func tupleOf(names []string, types []Type) Type {
	t := Type{Kind: Tuple}
	for i, elem := range types {
		f := Field{Type: elem, Offset: t.Size}
		if names != nil {
			f.Name = names[i]
			t.Kind = Tuple
		}
		t.Fields = append(t.Fields, f)
		t.Size += elem.stored()
	}
	return t
}

// same tells whether two types are one, sizes of strings and integers apart.
func same(a, b Type) bool {
	if a.Kind != b.Kind {
		return a.isNumber() && b.isNumber()
	}
	switch a.Kind {
	case Tuple:
		return sameFields(a.Fields, b.Fields)
	case Record:
		return a.Name == b.Name
	case ArrayOf:
		return same(*a.Elem, *b.Elem) && a.Elem.Size == b.Elem.Size && a.Size == b.Size
	case LinearHistogramOf:
		return a.Min == b.Min && a.Max == b.Max && a.Step == b.Step
	case HistogramOf:
		return a.Bits == b.Bits
	case ProbeName:
		return a.Name == b.Name
	case KStack, UStack:
		return a.Name == b.Name && a.Perf == b.Perf
	}
	return true
}

func sameFields(a, b []Field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || !same(a[i].Type, b[i].Type) {
			return false
		}
	}
	return true
}

// wider is the type that holds values of both, which are the same.
func wider(a, b Type) Type {
	switch a.Kind {
	case String, Buffer:
		if b.Size > a.Size {
			return b
		}
	case Integer:
		if a.Name != b.Name {
			a.Name, b.Name = "", ""
		}
		if b.Kind == Integer && b.Size > a.Size {
			return b
		}
	case Tuple:
		names, types := []string(nil), []Type(nil)
		for i := range a.Fields {
			names = append(names, a.Fields[i].Name)
			types = append(types, wider(a.Fields[i].Type, b.Fields[i].Type))
		}
		return tupleOf(names, types)
	}
	return a
}

// String is a type as the language writes it.
func (t Type) String() string {
	switch t.Kind {
	case None:
		return "none"
	case Integer:
		return integerText(t)
	case Pointer:
		if t.Elem == nil {
			return "void *"
		}
		return t.Elem.String() + " *"
	case String:
		return fmt.Sprintf("string[%d]", t.Size)
	case Buffer:
		return fmt.Sprintf("buffer[%d]", t.Size-4)
	case ArrayOf:
		return fmt.Sprintf("%s[%d]", t.Elem, t.length())
	case Record:
		return t.Name
	case Tuple:
		return tupleText(t)
	}
	return kindNames()[t.Kind]
}

func integerText(t Type) string {
	if t.Name != "" {
		return t.Name
	}
	if t.Signed {
		return fmt.Sprintf("int%d", t.Size*8)
	}
	return fmt.Sprintf("uint%d", t.Size*8)
}

func tupleText(t Type) string {
	var parts []string
	for _, f := range t.Fields {
		parts = append(parts, f.Type.String())
	}
	return "(" + strings.Join(parts, ",") + ")"
}

func kindNames() map[Kind]string {
	return map[Kind]string{
		KStack: "kstack_t", UStack: "ustack_t", KSymbol: "ksym_t", USymbol: "usym_t",
		InetAddress: "inet_t", MACAddress: "mac_address", Timestamp: "timestamp",
		CgroupPath: "cgroup_path_t", UserName: "username", KernelErrno: "errno",
		SignalName: "signal", ProbeName: "string", Strerror: "strerror_t",
		Container: "container", Pod: "pod", ExecID: "exec_id", Executable: "exe", Ancestors: "ancestors",
		CountOf: "count_t", SumOf: "sum_t", MinOf: "min_t", MaxOf: "max_t", AvgOf: "avg_t",
		StatsOf: "stats_t", HistogramOf: "hist_t", LinearHistogramOf: "lhist_t",
	}
}

// length is how many elements an array has.
func (t Type) length() int {
	if t.Elem == nil || t.Elem.Size == 0 {
		return 0
	}
	return t.Size / t.Elem.Size
}
