// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	"github.com/skep-io/skep/internal/vm"
)

// etherType returns the type of an Ethernet frame of at least 14 bytes, as the host has it,
// and 1 of a shorter one.
func etherType() *compile.Program {
	b := compile.NewBuilder("ethertype", compile.Word, compile.Context)
	context := b.Parameter(0)
	data, end := b.PacketPtr(context, 0, compile.Packet), b.PacketPtr(context, 4, compile.PacketEnd)
	whole, short := b.NewBlock(), b.NewBlock()
	b.Branch(b.Binary(compile.ULessEqual, b.Binary(compile.Add, data, b.Const(14)), end), whole, short)
	b.Seal(whole)
	b.Seal(short)
	b.Enter(short)
	b.Return(b.Const(1))
	b.Enter(whole)
	kind := b.Load(data, 12, 2, false)
	b.Return(b.Value(compile.Value{Op: compile.Swap, Type: compile.Word, Args: []*compile.Value{kind}, Width: 2}))
	return &compile.Program{Funcs: []*compile.Func{b.Func}}
}

// TestPacket: a program finds its packet by the pointers of 4 bytes in its context.
func TestPacket(t *testing.T) {
	p := etherType()
	code, err := compile.Compile(p, compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	frame := append(bytes.Repeat([]byte{2}, 12), 0x86, 0xdd, 1, 2, 3)
	for _, c := range []struct {
		packet []byte
		want   uint64
	}{{frame, 0x86dd}, {frame[:14], 0x86dd}, {frame[:13], 1}} {
		m, err := vm.New(vm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := evaluate.RunPacket(p, m, vm.XDP, bytes.Clone(c.packet)); got != c.want || err != nil {
			t.Errorf("evaluated: got %#x, %v, want %#x", got, err, c.want)
		}
		loaded, err := m.Load("ethertype", code.Instructions)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.RunPacket(loaded, vm.XDP, bytes.Clone(c.packet)); got != c.want || err != nil {
			t.Errorf("in the machine: got %#x, %v, want %#x", got, err, c.want)
		}
	}
	t.Run("kernel", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root: it loads programs into the kernel")
		}
		xdp, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Instructions: code.Instructions, License: "GPL"})
		if err != nil {
			var refused *ebpf.VerifierError
			errors.As(err, &refused)
			t.Fatalf("%+v", refused)
		}
		defer xdp.Close()
		if got, _, err := xdp.Test(frame); got != 0x86dd || err != nil {
			t.Errorf("got %#x, %v", got, err)
		}
	})
}
