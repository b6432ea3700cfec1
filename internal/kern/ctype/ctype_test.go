// SPDX-License-Identifier: Apache-2.0

package ctype

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
)

func kernel(t *testing.T) *Kernel {
	t.Helper()
	if _, err := os.Stat(vmlinux); err != nil {
		t.Skipf("needs BTF: %v", err)
	}
	return &Kernel{}
}

// TestTypes: sizes and offsets of types that are the same on all kernels of 64 bits.
func TestTypes(t *testing.T) {
	k := kernel(t)
	for name, want := range map[string]Type{
		"pid_t":            {Kind: Integer, Size: 4, Signed: true},
		"unsigned  long":   {Kind: Integer, Size: 8},
		"u8":               {Kind: Integer, Size: 1},
		"struct list_head": {Kind: Record, Size: 16, Ref: "struct list_head"},
		"enum pid_type":    {Kind: Enum, Size: 4, Ref: "pid_type"},
		"char":             {Kind: Integer, Size: 1, Signed: true, Char: true},
	} {
		got, ok := k.Type(name)
		if name == "char" || name == "u8" {
			got.Signed = want.Signed // of char it depends on the compiler's mood about encoding
			got.Char = want.Char
		}
		if !ok || got != want {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"struct no_such", "list_head", "struct pid_t", "", "vfs_read"} {
		if got, ok := k.Type(name); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestMembers(t *testing.T) {
	k := kernel(t)
	find := func(ref, name string) Member {
		members, ok := k.Members(ref)
		i := slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
		if !ok || i < 0 {
			t.Fatalf("%s has no %s", ref, name)
		}
		return members[i]
	}
	if m := find("struct list_head", "prev"); m.Offset != 8 || m.Type.Kind != Pointer || m.Type.Elem.Ref != "struct list_head" {
		t.Errorf("prev: %+v", m)
	}
	if m := find("struct task_struct", "comm"); m.Type.Kind != Array || m.Type.Count != 16 || m.Type.Elem.Size != 1 {
		t.Errorf("comm: %+v", m)
	}
	if m := find("struct task_struct", "real_parent"); m.Type.Elem == nil || m.Type.Elem.Ref != "struct task_struct" {
		t.Errorf("real_parent: %+v", m)
	}
	if m := find("struct iphdr", "version"); m.BitSize != 4 || m.BitOffset != 4 || m.Offset != 0 {
		t.Errorf("version: %+v", m)
	}
	// A structure without a name inside one.
	members, _ := k.Members("struct sk_buff")
	i := slices.IndexFunc(members, func(m Member) bool { return m.Name == "" && m.Type.Kind == Record })
	if i < 0 {
		t.Fatal("sk_buff has nothing without a name")
	}
	if inner, ok := k.Members(members[i].Type.Ref); !ok || len(inner) == 0 {
		t.Errorf("%s has no members", members[i].Type.Ref)
	}
	if _, ok := k.Members("struct no_such"); ok {
		t.Error("found members of nothing")
	}
}

func TestFunctions(t *testing.T) {
	k := kernel(t)
	f, ok := k.Function("", "vfs_read")
	if !ok || len(f.Params) != 4 || f.Params[0].Name != "file" || f.Params[0].Type.Elem.Ref != "struct file" || f.Params[2].Offset != 2 || f.Result.Size != 8 {
		t.Errorf("vfs_read: %+v", f)
	}
	tp, ok := k.RawTracepoint("sched_process_exec")
	if !ok || len(tp.Params) != 3 || tp.Params[0].Type.Elem.Ref != "struct task_struct" {
		t.Errorf("sched_process_exec: %+v", tp)
	}
	if _, ok := k.RawTracepoint("no_such"); ok {
		t.Error("found a tracepoint that is not there")
	}
	if value, enum, ok := k.EnumValue("PIDTYPE_TGID"); !ok || value != 1 || enum != "pid_type" {
		t.Errorf("PIDTYPE_TGID: %d of %s", value, enum)
	}
	if name := k.EnumName("pid_type", 1); name != "PIDTYPE_TGID" {
		t.Errorf("1 is %s", name)
	}
}

// TestWords: a structure that is passed by value takes two registers.
func TestWords(t *testing.T) {
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	f, ok := function(scope{}, &btf.FuncProto{Return: number, Params: []btf.FuncParam{
		{Name: "a", Type: number}, {Name: "b", Type: &btf.Struct{Name: "s", Size: 16}}, {Name: "c", Type: number},
	}})
	if !ok || len(f.Params) != 3 || f.Params[0].Offset != 0 || f.Params[1].Offset != 1 || f.Params[2].Offset != 3 {
		t.Errorf("got %+v", f)
	}
}

// TestNames: the quick reader lists what the library lists.
func TestNames(t *testing.T) {
	k := kernel(t)
	names, err := k.Names()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := k.Cache().Kernel()
	if err != nil {
		t.Fatal(err)
	}
	if len(names.Functions) < 10000 || len(names.Tracepoints) < 100 || !slices.Contains(names.Iterators, "task") {
		t.Fatalf("%d functions, %d tracepoints, iterators %v", len(names.Functions), len(names.Tracepoints), names.Iterators)
	}
	for i := 0; i < len(names.Functions); i += 997 {
		found, err := spec.AnyTypesByName(names.Functions[i])
		if err != nil || !slices.ContainsFunc(found, func(t btf.Type) bool { _, ok := t.(*btf.Func); return ok }) {
			t.Errorf("%s: %v", names.Functions[i], err)
		}
	}
	for _, name := range names.Tracepoints[:20] {
		var typedef *btf.Typedef
		if err := spec.TypeByName("btf_trace_"+name, &typedef); err != nil {
			t.Error(err)
		}
	}
}

// TestForgotten: after a while without use nothing is held.
func TestForgotten(t *testing.T) {
	k := kernel(t)
	if _, err := k.Names(); err != nil {
		t.Fatal(err)
	}
	k.Cache()
	k.expire()
	if k.cache == nil || k.names == nil {
		t.Error("forgotten too early")
	}
	k.used = time.Now().Add(-2 * linger)
	k.expire()
	if k.cache != nil || k.names != nil || k.timer != nil {
		t.Error("kept")
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 'f', 0})
	f.Add([]byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if names, err := parseNames(raw); err == nil && !slices.IsSorted(names.Functions) {
			t.Error("not sorted")
		}
	})
}
