// SPDX-License-Identifier: Apache-2.0

package evaluate_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	"github.com/skep-io/skep/internal/vm"
)

var maps = map[string]compile.MapShape{"m": {KeySize: 8, ValueSize: 8}, "a": {KeySize: 4, ValueSize: 16}, "p": {KeySize: 4, ValueSize: 4}}

func machine(t *testing.T) *vm.Machine {
	t.Helper()
	m, err := vm.New(vm.Options{Budget: 10_000, Maps: []vm.MapSpec{
		{Name: "m", Type: vm.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 2},
		{Name: "a", Type: vm.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Name: "p", Type: vm.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// built is a program whose entry is made by a function.
func built(build func(b *compile.Builder) *compile.Value, others ...*compile.Func) *compile.Program {
	b := compile.NewBuilder("entry", compile.Word, compile.Context)
	b.Pos = compile.Pos{Line: 3, Column: 4}
	result := build(b)
	b.Return(result)
	return &compile.Program{Funcs: append([]*compile.Func{b.Func}, others...), Maps: maps}
}

func TestBinary(t *testing.T) {
	const least = uint64(1) << 63
	neg := func(n uint64) uint64 { return -n }
	for _, tt := range []struct {
		op         compile.Op
		a, b, want uint64
	}{
		{compile.Add, 1<<64 - 1, 2, 1},
		{compile.Sub, 1, 2, 1<<64 - 1},
		{compile.Mul, 1 << 63, 2, 0},
		{compile.UDiv, neg(1), 2, 1<<63 - 1},
		{compile.UDiv, 5, 0, 0},
		{compile.UMod, 7, 4, 3},
		{compile.UMod, 5, 0, 5},
		{compile.SDiv, neg(7), 2, neg(3)},
		{compile.SDiv, 5, 0, 0},
		{compile.SDiv, least, neg(1), least},
		{compile.SMod, neg(7), 2, neg(1)},
		{compile.SMod, neg(5), 0, neg(5)},
		{compile.SMod, least, neg(1), 0},
		{compile.And, 6, 3, 2},
		{compile.Or, 6, 3, 7},
		{compile.Xor, 6, 3, 5},
		{compile.Shl, 1, 65, 2},
		{compile.LShr, neg(1), 63, 1},
		{compile.AShr, neg(8), 65, neg(4)},
		{compile.Equal, 3, 3, 1},
		{compile.NotEqual, 3, 3, 0},
		{compile.ULess, neg(1), 1, 0},
		{compile.ULessEqual, 1, 1, 1},
		{compile.SLess, neg(1), 1, 1},
		{compile.SLessEqual, 2, 1, 0},
	} {
		p := built(func(b *compile.Builder) *compile.Value {
			return b.Binary(tt.op, b.Const(int64(tt.a)), b.Const(int64(tt.b)))
		})
		if got, err := evaluate.Run(p, machine(t), nil); got != tt.want || err != nil {
			t.Errorf("%v %#x %#x: got %#x, %v, want %#x", tt.op, tt.a, tt.b, got, err, tt.want)
		}
	}
}

func TestUnary(t *testing.T) {
	const n = 0x1122334455667788 | 0x80
	for _, tt := range []struct {
		op    compile.Op
		width int
		want  uint64
	}{
		{compile.ZeroExtend, 1, 0x88},
		{compile.ZeroExtend, 4, 0x55667788},
		{compile.ZeroExtend, 8, n},
		{compile.SignExtend, 1, 0xffff_ffff_ffff_ff88},
		{compile.SignExtend, 2, 0x7788},
		{compile.SignExtend, 8, n},
		{compile.Swap, 2, 0x8877},
		{compile.Swap, 8, 0x8877665544332211},
	} {
		p := built(func(b *compile.Builder) *compile.Value {
			return b.Value(compile.Value{Op: tt.op, Type: compile.Word, Width: tt.width, Args: []*compile.Value{b.Const(n)}})
		})
		if got, err := evaluate.Run(p, machine(t), nil); got != tt.want || err != nil {
			t.Errorf("%v.%d: got %#x, %v, want %#x", tt.op, tt.width, got, err, tt.want)
		}
	}
}

// TestLoop adds the context's bytes up with a phi and swaps two variables at each turn.
func TestLoop(t *testing.T) {
	p := built(func(b *compile.Builder) *compile.Value {
		context := b.Parameter(0)
		i, sum, x, y := b.NewVariable(compile.Word), b.NewVariable(compile.Word), b.NewVariable(compile.Word), b.NewVariable(compile.Word)
		for v, n := range map[compile.Variable]int64{i: 0, sum: 0, x: 1, y: 2} {
			b.Write(v, b.Const(n))
		}
		head, body, after := b.NewBlock(), b.NewBlock(), b.NewBlock()
		b.Jump(head)
		b.Enter(head)
		b.Branch(b.Binary(compile.ULess, b.Read(i), b.Const(3)), body, after)
		b.Seal(body)
		b.Enter(body)
		b.Write(sum, b.Binary(compile.Add, b.Read(sum), b.Load(b.Binary(compile.Add, context, b.Read(i)), 0, 1, true)))
		old := b.Read(x)
		b.Write(x, b.Read(y))
		b.Write(y, old)
		b.Write(i, b.Binary(compile.Add, b.Read(i), b.Const(1)))
		b.Jump(head)
		b.Seal(head)
		b.Seal(after)
		b.Enter(after)
		return b.Binary(compile.Add, b.Binary(compile.Mul, b.Read(x), b.Const(1000)), b.Read(sum))
	})
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if got, err := evaluate.Run(p, machine(t), []byte{10, 0xff, 5}); got != 2014 || err != nil {
		t.Errorf("got %d, %v, want 2014: x and y changed places three times, 10-1+5", got, err)
	}
}

func TestMapsAndCalls(t *testing.T) {
	f := compile.NewBuilder("f", compile.Word, compile.Word, compile.MapValue)
	f.AtomicAdd(f.Parameter(1), 8, 4, f.Parameter(0))
	f.Return(f.Load(f.Parameter(1), 8, 8, false))
	p := built(func(b *compile.Builder) *compile.Value {
		key := b.Slot(8)
		b.Store(key, 0, 8, b.Const(5))
		b.Call(2, compile.Word, b.Map("m"), key, key, b.Const(0))
		isNull := b.NewBlock()
		v := b.NonNull(b.Call(1, compile.NullableMapValue, b.Map("m"), key), isNull)
		a := b.ValueOf("a", 0)
		b.Zero(a, 0, 16)
		b.Copy(a, 12, v, 4)
		sum := b.CallFunc("f", b.Load(v, 0, 8, false), a)
		b.Return(sum)
		b.Seal(isNull)
		b.Enter(isNull)
		return b.Const(-1)
	}, f.Func)
	m := machine(t)
	got, err := evaluate.Run(p, m, nil)
	if want := uint64(5<<32 | 5); got != want || err != nil {
		t.Errorf("got %#x, %v, want %#x", got, err, want)
	}
	if key := binary.LittleEndian.AppendUint64(nil, 5); string(m.Map("m").Lookup(key)) != string(key) {
		t.Errorf("the map has %x", m.Map("m").Lookup(key))
	}
}

func TestTailCall(t *testing.T) {
	p := built(func(b *compile.Builder) *compile.Value {
		b.Value(compile.Value{Op: compile.TailCall, Args: []*compile.Value{b.Parameter(0), b.Map("p"), b.Const(1)}})
		return b.Const(7)
	})
	m := machine(t)
	if got, err := evaluate.Run(p, m, nil); got != 7 || err != nil {
		t.Errorf("without a program: got %d, %v, want 7", got, err)
	}
	other, err := m.Load("other", asm.Instructions{asm.Mov.Imm(asm.R0, 9), asm.Return()})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Map("p").SetProgram(1, other); err != nil {
		t.Fatal(err)
	}
	if got, err := evaluate.Run(p, m, nil); got != 9 || err != nil {
		t.Errorf("got %d, %v, want 9", got, err)
	}
}

func TestFaults(t *testing.T) {
	for want, build := range map[string]func(b *compile.Builder) *compile.Value{
		"was never written": func(b *compile.Builder) *compile.Value { return b.Load(b.Slot(8), 0, 8, false) },
		"which has 3": func(b *compile.Builder) *compile.Value {
			s := b.Slot(3)
			b.Zero(s, 0, 3)
			return b.Load(s, 0, 4, false)
		},
		"overlap": func(b *compile.Builder) *compile.Value {
			a := b.ValueOf("a", 0)
			b.Copy(a, 4, a, 8)
			return b.Const(0)
		},
		"budget": func(b *compile.Builder) *compile.Value {
			head := b.NewBlock()
			b.Jump(head)
			b.Enter(head)
			b.Jump(head)
			b.Seal(head)
			b.Enter(b.NewBlock())
			return b.Const(0)
		},
		"the pointer is 0": func(b *compile.Builder) *compile.Value {
			key := b.Slot(8)
			b.Zero(key, 0, 8)
			found := b.Call(1, compile.NullableMapValue, b.Map("m"), key)
			return b.Load(b.Value(compile.Value{Op: compile.NonNull, Type: compile.MapValue, Args: []*compile.Value{found}}), 0, 8, false)
		},
	} {
		_, err := evaluate.Run(built(build), machine(t), nil)
		var f *evaluate.Fault
		if !errors.As(err, &f) || !strings.Contains(err.Error(), want) || f.Func != "entry" {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
