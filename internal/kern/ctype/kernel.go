// SPDX-License-Identifier: Apache-2.0

// Package ctype reads the kernel's types and those of its modules, as C knows them, from their BTF.
package ctype

import (
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"
)

// Kernel is the kernel's type information, read when it is first needed and forgotten when
// nobody has used it for a while: making its index takes tens of milliseconds, and holding
// it some megabytes. It is for any number of goroutines.
type Kernel struct {
	mutex    sync.Mutex
	cache    *btf.Cache
	modules  *btf.Cache // with its own copy of the kernel's types; used under decoding
	decoding sync.Mutex
	names    *Names
	used     time.Time
	timer    *time.Timer
}

// linger is how long the types stay: someone who writes a script tries it again soon.
const linger = time.Minute

// Cache is for loading programs. That of a nil Kernel shares nothing.
func (k *Kernel) Cache() *btf.Cache {
	if k == nil {
		return btf.NewCache()
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.touch()
	if k.cache == nil {
		k.cache = btf.NewCache()
	}
	return k.cache
}

func (k *Kernel) touch() {
	k.used = time.Now()
	if k.timer == nil {
		k.timer = time.AfterFunc(linger, k.expire)
	}
}

func (k *Kernel) expire() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if left := linger - time.Since(k.used); left > 0 {
		k.timer.Reset(left)
		return
	}
	k.cache, k.modules, k.names, k.timer = nil, nil, nil, nil
}

// Names lists what can be attached to by its name.
func (k *Kernel) Names() (*Names, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.touch()
	if k.names == nil {
		names, err := readNames()
		if err != nil {
			return nil, err
		}
		k.names = names
	}
	return k.names, nil
}

// Type finds a type by its name in C: "struct task_struct", "union x", "enum y", the name of
// a typedef, "unsigned long".
func (k *Kernel) Type(name string) (Type, bool) {
	name = strings.Join(strings.Fields(name), " ")
	tag, rest, tagged := strings.Cut(name, " ")
	if tagged && (tag == "struct" || tag == "union" || tag == "enum") {
		name = rest
	} else {
		tag = ""
	}
	in, t := k.find(tag, integerName(name))
	if t == nil {
		return Type{}, false
	}
	return convert(in, t), true
}

// integerName is the spelling that compilers use of an integer's type, whose words C lets
// be in any order and partly left out.
func integerName(name string) string {
	count := map[string]int{}
	for word := range strings.FieldsSeq(name) {
		count[word]++
	}
	total := count["unsigned"] + count["signed"] + count["int"] + count["long"] + count["short"] + count["char"]
	if total == 0 || total != len(strings.Fields(name)) {
		return name
	}
	sign, size := "", "int"
	if count["unsigned"] > 0 {
		sign = "unsigned "
	}
	switch {
	case count["char"] > 0 && count["signed"] > 0:
		return "signed char"
	case count["char"] > 0:
		return sign + "char"
	case count["short"] > 0:
		return "short " + sign + size
	case count["long"] > 0:
		return strings.Repeat("long ", count["long"]) + sign + size
	}
	return sign + size
}

func tagOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	}
	return ""
}

// Members of the structure or union that Type.Ref of this name refers to.
func (k *Kernel) Members(ref string) ([]Member, bool) {
	in, t := k.resolve(ref)
	var members []btf.Member
	switch t := t.(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	default:
		return nil, false
	}
	out := make([]Member, 0, len(members))
	for _, m := range members {
		one := Member{Name: m.Name, Type: convert(in, m.Type), Offset: int(m.Offset) / 8}
		if m.BitfieldSize > 0 {
			one.BitSize, one.BitOffset = int(m.BitfieldSize), int(m.Offset)%8
		}
		out = append(out, one)
	}
	return out, true
}

// Function is how a function of the kernel or, unless module is "", of a module is called.
func (k *Kernel) Function(module, name string) (Func, bool) {
	in, err := k.in(module)
	if err != nil {
		return Func{}, false
	}
	var f *btf.Func
	if in.byName(name, &f) != nil {
		return Func{}, false
	}
	return function(in, f.Type)
}

// RawTracepoint is what a tracepoint is given, without the first argument, which is the
// tracer's own.
func (k *Kernel) RawTracepoint(name string) (Func, bool) {
	spec, err := k.Cache().Kernel()
	if err != nil {
		return Func{}, false
	}
	var t *btf.Typedef
	if spec.TypeByName("btf_trace_"+name, &t) != nil {
		return Func{}, false
	}
	pointer, ok := t.Type.(*btf.Pointer)
	if !ok {
		return Func{}, false
	}
	f, ok := function(scope{spec: spec}, pointer.Target)
	if !ok || len(f.Params) == 0 {
		return Func{}, false
	}
	f.Params = f.Params[1:]
	names := k.tracepointNames(spec, name)
	for i := range f.Params {
		f.Params[i].Offset = i
		if i+1 < len(names) && f.Params[i].Name == "" {
			f.Params[i].Name = names[i+1]
		}
	}
	return f, true
}

// tracepointNames are the arguments' names, which the typedef does not have: those of the
// function that the tracing filesystem has the tracepoint call.
func (k *Kernel) tracepointNames(spec *btf.Spec, name string) []string {
	for _, prefix := range []string{"__bpf_trace_", "__traceiter_", "__probestub_", "trace_event_raw_event_"} {
		var f *btf.Func
		if spec.TypeByName(prefix+name, &f) != nil {
			continue
		}
		proto, ok := f.Type.(*btf.FuncProto)
		if !ok {
			continue
		}
		var names []string
		named := false
		for _, p := range proto.Params {
			names = append(names, p.Name)
			named = named || p.Name != "" && p.Name != "__data"
		}
		if named {
			return names
		}
	}
	return nil
}

// EnumValue is the value of an enumerator, and the name of its enumeration.
func (k *Kernel) EnumValue(name string) (value int64, enum string, ok bool) {
	spec, err := k.Cache().Kernel()
	if err != nil {
		return 0, "", false
	}
	names, err := k.Names()
	if err != nil {
		return 0, "", false
	}
	e, ok := names.enumerator(name)
	if !ok {
		return 0, "", false
	}
	t, err := spec.TypeByID(btf.TypeID(e))
	if err != nil {
		return 0, "", false
	}
	if t, ok := t.(*btf.Enum); ok {
		for _, v := range t.Values {
			if v.Name == name {
				return int64(v.Value), t.Name, true
			}
		}
	}
	return 0, "", false
}

// EnumName is the name of a value of an enumeration, "" if it has none.
func (k *Kernel) EnumName(enum string, value int64) string {
	_, t := k.resolve("enum " + enum)
	if t, ok := t.(*btf.Enum); ok {
		for _, v := range t.Values {
			if int64(v.Value) == value || !t.Signed && t.Size == 4 && uint32(v.Value) == uint32(value) {
				return v.Name
			}
		}
	}
	return ""
}
