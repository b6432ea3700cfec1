// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	"github.com/skep-io/skep/internal/vm"
)

// tailCaller goes on with the program at the index in its context, else returns 7 and what
// it held over the call.
func tailCaller() *compile.Program {
	b := compile.NewBuilder("caller", compile.Word, compile.Context)
	context := b.Parameter(0)
	held := b.Load(context, 8, 8, false)
	b.Value(compile.Value{Op: compile.TailCall, Args: []*compile.Value{context, b.Map("next"), b.Load(context, 0, 8, false)}})
	b.Return(b.Binary(compile.Add, held, b.Const(7)))
	return &compile.Program{Funcs: []*compile.Func{b.Func}, Maps: map[string]compile.MapShape{"next": {KeySize: 4, ValueSize: 4}}}
}

// tailCalled returns 100 more than the second word of its context.
func tailCalled() *compile.Program {
	b := compile.NewBuilder("called", compile.Word, compile.Context)
	b.Return(b.Binary(compile.Add, b.Load(b.Parameter(0), 8, 8, false), b.Const(100)))
	return &compile.Program{Funcs: []*compile.Func{b.Func}}
}

func TestTailCall(t *testing.T) {
	codes := map[string]*compile.Code{}
	for name, p := range map[string]*compile.Program{"caller": tailCaller(), "called": tailCalled()} {
		code, err := compile.Compile(p, compile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		codes[name] = code
	}
	for index, want := range []uint64{12, 105, 12} {
		context := make([]byte, 16)
		context[0], context[8] = byte(index), 5
		m, err := vm.New(vm.Options{Maps: []vm.MapSpec{{Name: "next", Type: vm.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}}})
		if err != nil {
			t.Fatal(err)
		}
		caller, err1 := m.Load("caller", codes["caller"].Instructions)
		called, err2 := m.Load("called", codes["called"].Instructions)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if err := m.Map("next").SetProgram(1, called); err != nil {
			t.Fatal(err)
		}
		if got, err := evaluate.Run(tailCaller(), m, context); got != want || err != nil {
			t.Errorf("evaluated, index %d: got %d, %v, want %d", index, got, err, want)
		}
		if got, err := m.Run(caller, context); got != want || err != nil {
			t.Errorf("in the machine, index %d: got %d, %v, want %d", index, got, err, want)
		}
		t.Run("kernel", func(t *testing.T) {
			if got := tailCallInKernel(t, codes, context); uint64(got) != want {
				t.Errorf("index %d: got %d, want %d", index, got, want)
			}
		})
	}
}

func tailCallInKernel(t *testing.T, codes map[string]*compile.Code, context []byte) uint32 {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it loads programs into the kernel")
	}
	next, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	load := func(name string) *ebpf.Program {
		insns := append(asm.Instructions(nil), codes[name].Instructions...)
		_ = insns.AssociateMap("next", next) // only the caller refers to it
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: insns, License: "GPL"})
		if err != nil {
			t.Fatalf("%+v", err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	if err := next.Put(uint32(1), load("called")); err != nil {
		t.Fatal(err)
	}
	got, err := load("caller").Run(&ebpf.RunOptions{Context: [2]uint64{binary.LittleEndian.Uint64(context), binary.LittleEndian.Uint64(context[8:])}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
