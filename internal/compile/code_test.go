// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
)

// TestGoldensLoad: what the goldens show is what the kernel takes.
func TestGoldensLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it loads programs into the kernel")
	}
	_ = rlimit.RemoveMemlock() // only kernels before 5.11 need it
	maps := map[string]*ebpf.Map{}
	for _, spec := range []*ebpf.MapSpec{
		{Name: "counts", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 8},
		{Name: "scratch", Type: ebpf.Array, KeySize: 4, ValueSize: 256, MaxEntries: 1},
		{Name: "programs", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
	} {
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		maps[spec.Name] = m
	}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			code, err := Compile(g.program(), g.options)
			if err != nil {
				t.Fatal(err)
			}
			for name, m := range maps {
				if err := code.Instructions.AssociateMap(name, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
					t.Fatal(err)
				}
			}
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: code.Instructions, License: "GPL"})
			if err != nil {
				t.Fatalf("%+v\n%s", err, code)
			}
			p.Close()
		})
	}
}

// TestPositions: there is a position for each slot, so that what the verifier says of
// instruction n is of Positions[n].
func TestPositions(t *testing.T) {
	b := NewBuilder("entry", Word, Context)
	b.Pos = Pos{Line: 1, Column: 1}
	n := wordAt(b, b.Parameter(0), 0)
	b.Pos = Pos{Line: 2, Column: 5}
	now := b.Call(5, Word)
	b.Pos = Pos{Line: 3, Column: 7}
	b.Store(b.ValueOf("scratch", 0), 0, 8, b.Binary(Sub, now, n))
	b.Return(b.Const(0))
	code, err := Compile(&Program{Funcs: []*Func{b.Func}, Maps: goldenMaps}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for _, pos := range code.Positions {
		lines = append(lines, pos.Line)
	}
	if got := len(code.Positions); got*asm.InstructionSize != int(code.Instructions.Size()) {
		t.Errorf("%d positions for %d bytes", got, code.Instructions.Size())
	}
	if want := []int{1, 2, 3, 3, 3, 3, 3, 3}; !slices.Equal(lines, want) {
		t.Errorf("lines %v, want %v\n%s", lines, want, code)
	}
}

// TestStackLimit: what is too large is named.
func TestStackLimit(t *testing.T) {
	b := NewBuilder("entry", Word, Context)
	b.Pos = Pos{Line: 7}
	s := b.Slot(400)
	b.Zero(s, 0, 400)
	b.Pos = Pos{Line: 8}
	small := b.Slot(200)
	b.Zero(small, 0, 200)
	b.Call(3, Word, b.Map("counts"), s)
	b.Call(3, Word, b.Map("counts"), small)
	b.Return(b.Const(0))
	_, err := Compile(&Program{Funcs: []*Func{b.Func}, Maps: goldenMaps}, Options{})
	if err == nil {
		t.Fatal("600 bytes of stack compile")
	}
	for _, want := range []string{"512", "function entry 600", "400 for the slot of line 7", "200 for the slot of line 8"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %q", err, want)
		}
	}
}

// TestCompileKeepsProgram: compiling twice gives the same, and the program is as it was.
func TestCompileKeepsProgram(t *testing.T) {
	for seed := range uint64(50) {
		p := newRandom(seed, 30)
		before := p.String()
		first, err := Compile(p, Options{Stack: 4096})
		if err != nil {
			t.Fatal(err)
		}
		second, err := Compile(p, Options{Stack: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != before {
			t.Fatalf("seed %d: the program changed", seed)
		}
		if first.String() != second.String() {
			t.Fatalf("seed %d: compiles to\n%s\nand then to\n%s", seed, first, second)
		}
	}
}

// TestTooFar: a jump that its 16 bits cannot hold is an error.
func TestTooFar(t *testing.T) {
	b := NewBuilder("entry", Word, Context)
	x := wordAt(b, b.Parameter(0), 0)
	b.If(b.Binary(Equal, x, b.Const(1)), func() {
		p := b.ValueOf("scratch", 0)
		for range 1 << 15 {
			b.Store(p, 0, 8, x)
		}
	}, nil)
	b.Return(b.Const(0))
	_, err := Compile(&Program{Funcs: []*Func{b.Func}, Maps: goldenMaps}, Options{})
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a jump over 32,768 instructions: %v", err)
	}
}

// TestParameters: as many as there can be, all of them alive with more values than there
// are registers.
func TestParameters(t *testing.T) {
	entry := NewBuilder("entry", Word, Context)
	ctx := entry.Parameter(0)
	var args []*Value
	for i := range int64(5) {
		args = append(args, wordAt(entry, ctx, i))
	}
	entry.Return(entry.CallFunc("f", args...))
	f := NewBuilder("f", Word, Word, Word, Word, Word, Word)
	var values []*Value
	for i := range 5 {
		values = append(values, f.Parameter(i))
	}
	for i := range int64(8) {
		values = append(values, f.Binary(Mul, values[i], f.Const(i+3)))
	}
	sum := f.Const(0)
	for i, v := range values {
		sum = f.Binary(Add, sum, f.Binary(Mul, v, f.Const(int64(i)+1)))
	}
	f.Return(sum)
	p := &Program{Funcs: []*Func{entry.Func, f.Func}, Maps: map[string]MapShape{"out": {4, outSize, false}}}
	var want string
	for _, w := range ways {
		code, err := compileTuned(p, w.o, w.tuning)
		if err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		got, err := runCode(code, 1)
		if err != nil {
			t.Fatalf("%s: %v\n%s", w.name, err, code)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: %s, want %s", w.name, got, want)
		}
	}
}
