// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/skep-io/skep/internal/vm"
)

func big(dst asm.Register, n uint64) asm.Instruction { return asm.LoadImm(dst, int64(n), asm.DWord) }

// agreed are programs whose result the kernel is asked too: see TestAgreedByKernel.
var agreed = []struct {
	name  string
	insns asm.Instructions
	want  uint32
}{
	{"return", asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}, 1<<32 - 1},
	{"32 bits clear the rest", asm.Instructions{
		big(asm.R0, 1<<63|5), asm.Add.Imm32(asm.R0, 1), asm.RSh.Imm(asm.R0, 1), asm.Return(),
	}, 3},
	{"signed division", asm.Instructions{asm.Mov.Imm(asm.R0, -7), asm.SDiv.Imm(asm.R0, 2), asm.Return()}, 1<<32 - 3},
	{"division by 0", asm.Instructions{
		asm.Mov.Imm(asm.R0, 7), asm.LoadMem(asm.R2, asm.R1, 88, asm.DWord), asm.Div.Reg(asm.R0, asm.R2), asm.Return(),
	}, 0},
	{"remainder by 0", asm.Instructions{
		asm.Mov.Imm(asm.R0, 7), asm.LoadMem(asm.R2, asm.R1, 88, asm.DWord), asm.Mod.Reg(asm.R0, asm.R2), asm.Return(),
	}, 7},
	{"swap", asm.Instructions{asm.Mov.Imm(asm.R0, 0x11223344), asm.HostTo(asm.BE, asm.R0, asm.Half), asm.Return()}, 0x4433},
	{"move with sign", asm.Instructions{asm.Mov.Imm(asm.R1, 0x80), asm.MovSX8.Reg(asm.R0, asm.R1), asm.Return()}, 1<<32 - 0x80},
	{"load with sign", asm.Instructions{
		asm.StoreImm(asm.RFP, -8, 0x8000, asm.Word), asm.LoadMemSX(asm.R0, asm.RFP, -8, asm.Half), asm.RSh.Imm(asm.R0, 32), asm.Return(),
	}, 1<<32 - 1},
	{"compare exchange", asm.Instructions{
		asm.Mov.Imm(asm.R0, 5), asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord), asm.Mov.Imm(asm.R1, 9),
		atomic(asm.CmpXchg, asm.RFP, asm.R1, asm.DWord, -8), asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord),
		asm.LSh.Imm(asm.R2, 8), asm.Or.Reg(asm.R0, asm.R2), asm.Return(),
	}, 0x905},
	{"spilled pointer", asm.Instructions{
		asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord),
		asm.LoadMem(asm.R0, asm.R2, 8, asm.DWord), asm.Return(),
	}, 1},
	{"call", asm.Instructions{
		asm.Mov.Imm(asm.R6, 3), asm.Mov.Imm(asm.R1, 4), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.Call.Label("f"), asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), asm.Add.Reg(asm.R0, asm.R1), asm.Add.Reg(asm.R0, asm.R6), asm.Return(),
		asm.StoreMem(asm.R2, 0, asm.R1, asm.DWord).WithSymbol("f"), asm.Mov.Imm(asm.R6, 100), asm.Mov.Reg(asm.R0, asm.R6), asm.Return(),
	}, 107},
	{"loop with a callback", asm.Instructions{
		asm.StoreImm(asm.RFP, -8, 0, asm.Word), asm.StoreImm(asm.RFP, -4, 0, asm.Word), asm.Mov.Imm(asm.R1, 10),
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("f"),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 0), asm.FnLoop.Call(),
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), asm.LSh.Imm(asm.R0, 8), asm.Or.Reg(asm.R0, asm.R1), asm.Return(),
		asm.LoadMem(asm.R3, asm.R2, 0, asm.DWord).WithSymbol("f"), asm.Add.Reg(asm.R3, asm.R1), asm.StoreMem(asm.R2, 0, asm.R3, asm.DWord),
		asm.Mov.Imm(asm.R0, 0), asm.JNE.Imm(asm.R1, 5, "end"), asm.Mov.Imm(asm.R0, 1), asm.Return().WithSymbol("end"),
	}, 6<<8 | 15},
	{"each element", asm.Instructions{
		asm.StoreImm(asm.RFP, -8, 0, asm.Word), asm.StoreImm(asm.RFP, -4, 0, asm.Word), asm.LoadMapPtr(asm.R1, 0).WithReference("table"),
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("f"),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 0), asm.FnForEachMapElem.Call(),
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), asm.LSh.Imm(asm.R0, 8), asm.Or.Reg(asm.R0, asm.R1), asm.Return(),
		asm.LoadMem(asm.R2, asm.R2, 0, asm.DWord).WithSymbol("f"), asm.LoadMem(asm.R3, asm.R3, 0, asm.DWord), asm.Mul.Reg(asm.R2, asm.R3),
		asm.LoadMem(asm.R3, asm.R4, 0, asm.DWord), asm.Add.Reg(asm.R3, asm.R2), asm.StoreMem(asm.R4, 0, asm.R3, asm.DWord),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}, 2<<8 | 2*10 + 3*20},
	{"compare strings", asm.Instructions{
		asm.StoreImm(asm.RFP, -8, 0x006261, asm.Word), asm.StoreImm(asm.RFP, -4, 0x006361, asm.Word),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 4),
		asm.LoadMapValue(asm.R3, 0, 0).WithReference("text"), asm.FnStrncmp.Call(), asm.Return(),
	}, 1<<32 - 1},
	{"read of kernel memory", asm.Instructions{
		asm.Mov.Reg(asm.R3, asm.R1), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 8), asm.Add.Imm(asm.R3, 8),
		asm.FnProbeReadKernel.Call(), asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), asm.Add.Reg(asm.R0, asm.R1), asm.Return(),
	}, 1},
	{"read of what is no kernel memory", asm.Instructions{
		asm.StoreImm(asm.RFP, -8, -1, asm.Word), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 4), asm.Mov.Imm(asm.R3, 0),
		asm.FnProbeReadKernel.Call(), asm.LoadMem(asm.R1, asm.RFP, -8, asm.Word), asm.Add.Reg(asm.R0, asm.R1), asm.Return(),
	}, 1<<32 - 34},
	{"read of a string", asm.Instructions{
		asm.StoreImm(asm.RFP, -8, -1, asm.Word), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 3),
		asm.LoadMapValue(asm.R3, 0, 0).WithReference("text"),
		asm.FnProbeReadKernelStr.Call(), asm.LoadMem(asm.R1, asm.RFP, -8, asm.Word), asm.LSh.Imm(asm.R0, 24), asm.Xor.Reg(asm.R0, asm.R1), asm.Return(),
	}, 0x03<<24 ^ 0xff006361},
	{"update that may not be", asm.Instructions{
		asm.Mov.Imm(asm.R1, 2), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, 0).WithReference("table"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), asm.Mov.Reg(asm.R3, asm.R2),
		asm.Mov.Imm(asm.R4, 1), asm.FnMapUpdateElem.Call(), asm.Return(),
	}, 1<<32 - 17},
	{"ring that is full", asm.Instructions{
		asm.Mov.Imm(asm.R6, 0), asm.LoadMapPtr(asm.R1, 0).WithReference("ring").WithSymbol("again"),
		asm.Mov.Imm(asm.R2, 2000), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(), asm.JEq.Imm(asm.R0, 0, "full"),
		asm.StoreMem(asm.R0, 1992, asm.R6, asm.DWord), asm.Mov.Reg(asm.R1, asm.R0), asm.Mov.Imm(asm.R2, 1), asm.FnRingbufSubmit.Call(),
		asm.Add.Imm(asm.R6, 1), asm.JLT.Imm(asm.R6, 10, "again"),
		asm.Mov.Reg(asm.R0, asm.R6).WithSymbol("full"), asm.Return(),
	}, 2},
}

// agreedMachine has the maps that the agreed programs use.
func agreedMachine(t *testing.T) *vm.Machine {
	t.Helper()
	m, err := vm.New(vm.Options{Maps: []vm.MapSpec{
		{Name: "table", Type: vm.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 5},
		{Name: "text", Type: vm.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, ReadOnly: true, Contents: []byte("acd")},
		{Name: "ring", Type: vm.RingBuffer, MaxEntries: 4096},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[uint64]uint64{2: 10, 3: 20} {
		if err := m.Map("table").Update(binary.LittleEndian.AppendUint64(nil, key), binary.LittleEndian.AppendUint64(nil, value)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func agreedContext() []byte {
	context := make([]byte, 96)
	context[8] = 1
	return context
}

func TestAgreed(t *testing.T) {
	for _, tt := range agreed {
		t.Run(tt.name, func(t *testing.T) {
			m := agreedMachine(t)
			p, err := m.Load("p", tt.insns)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Run(p, agreedContext())
			if err != nil || uint32(got) != tt.want {
				t.Errorf("got %#x, %v, want %#x", got, err, tt.want)
			}
		})
	}
}

// described says of functions what they take, which the kernel wants of those that helpers
// call.
func described(insns asm.Instructions) asm.Instructions {
	insns = append(asm.Instructions(nil), insns...)
	for i := range insns {
		name := insns[i].Symbol()
		if i == 0 {
			name = "entry"
		}
		if i > 0 && name != "f" {
			continue
		}
		proto := &btf.FuncProto{Return: &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}}
		insns[i] = btf.WithFuncMetadata(insns[i], &btf.Func{Name: name, Type: proto, Linkage: btf.StaticFunc})
	}
	return insns
}

// TestAgreedByKernel wants the same results of the kernel.
func TestAgreedByKernel(t *testing.T) {
	needRoot(t)
	maps := map[string]*ebpf.Map{}
	for _, spec := range []ebpf.MapSpec{
		{
			Name: "table", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 5,
			Contents: []ebpf.MapKV{{Key: uint64(2), Value: uint64(10)}, {Key: uint64(3), Value: uint64(20)}},
		},
		{Name: "text", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: 0x80, Contents: []ebpf.MapKV{{Key: uint32(0), Value: []byte("acd\x00")}}},
		{Name: "ring", Type: ebpf.RingBuf, MaxEntries: 4096},
	} {
		m, err := ebpf.NewMap(&spec)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if spec.Flags != 0 { // read-only to programs: the verifier wants it to be so for all
			if err := m.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		maps[spec.Name] = m
	}
	for _, tt := range agreed {
		t.Run(tt.name, func(t *testing.T) {
			insns := described(tt.insns)
			for name, m := range maps {
				if err := insns.AssociateMap(name, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
					t.Fatal(err)
				}
			}
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: insns, License: "GPL"})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			defer p.Close()
			got, err := p.Run(&ebpf.RunOptions{Context: agreedContext()})
			if err != nil || got != tt.want {
				t.Errorf("got %#x, %v, want %#x", got, err, tt.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	lookup := asm.Instructions{
		asm.StoreImm(asm.RFP, -8, 2, asm.Word), asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, 0).WithReference("table"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), asm.FnMapLookupElem.Call(),
	}
	reserve := asm.Instructions{
		asm.LoadMapPtr(asm.R1, 0).WithReference("ring"), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
		asm.Mov.Reg(asm.R6, asm.R0), asm.Mov.Reg(asm.R1, asm.R0), asm.Mov.Imm(asm.R2, 0), asm.FnRingbufSubmit.Call(),
	}
	for _, tt := range []struct {
		want  string
		insns asm.Instructions
	}{
		{"runs past the last instruction", asm.Instructions{asm.Mov.Imm(asm.R0, 0)}},
		{"register that was never set: r0", asm.Instructions{asm.Return()}},
		{"register that was never set: r2", append(lookup[:6:6], asm.Mov.Reg(asm.R0, asm.R2), asm.Return())},
		{"register that was never set: r6", asm.Instructions{asm.Mov.Imm(asm.R6, 1), asm.Call.Label("f"), asm.Return(), asm.Mov.Reg(asm.R0, asm.R6).WithSymbol("f"), asm.Return()}},
		{"read 4 bytes at offset 504 of stack: the byte at offset 506 was never written", asm.Instructions{
			asm.StoreImm(asm.RFP, -8, 0, asm.Half), asm.LoadMem(asm.R0, asm.RFP, -8, asm.Word),
		}},
		{"write 8 bytes at offset 508 of stack, which has 512", asm.Instructions{asm.StoreMem(asm.RFP, -4, asm.R1, asm.DWord)}},
		{"write 1 bytes at offset -1 of stack, which has 512", asm.Instructions{asm.StoreImm(asm.RFP, -513, 0, asm.Byte)}},
		{"read 8 bytes at offset 96 of context, which has 96", asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 96, asm.DWord)}},
		{"read 8 bytes at offset 4 of map value table, which has 8", append(lookup[:6:6], asm.LoadMem(asm.R0, asm.R0, 4, asm.DWord))},
		{"read 4 bytes at 0x0, which is no pointer", asm.Instructions{asm.Mov.Imm(asm.R1, 0), asm.LoadMem(asm.R0, asm.R1, 0, asm.Word)}},
		{"write 1 bytes at offset 0 of map value text, which is read-only", asm.Instructions{
			asm.LoadMapValue(asm.R1, 0, 0).WithReference("text"), asm.StoreImm(asm.R1, 0, 1, asm.Byte),
		}},
		{"read 8 bytes of map table, which is no memory", asm.Instructions{asm.LoadMapPtr(asm.R1, 0).WithReference("table"), asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord)}},
		{"memory record of ring, which is gone: the record was submitted", append(reserve[:8:8], asm.StoreImm(asm.R6, 0, 1, asm.Byte))},
		{"no record that waits to be finished", append(reserve[:8:8], asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 0), asm.FnRingbufSubmit.Call())},
		{"stack, which is gone: its function has returned", asm.Instructions{
			asm.Call.Label("f"), asm.LoadMem(asm.R0, asm.R0, -8, asm.DWord),
			asm.StoreImm(asm.RFP, -8, 0, asm.Word).WithSymbol("f"), asm.Mov.Reg(asm.R0, asm.RFP), asm.Return(),
		}},
		{"arithmetic on a pointer", asm.Instructions{asm.Mul.Imm(asm.R1, 2)}},
		{"writes r10", asm.Instructions{asm.Add.Imm(asm.RFP, 8)}},
		{"nested more than 8 deep", asm.Instructions{asm.Call.Label("f").WithSymbol("f"), asm.Return()}},
		{"budget of instructions", asm.Instructions{asm.Ja.Label("f").WithSymbol("f")}},
		{"no helper 9999", asm.Instructions{asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Constant: 9999}}},
		{"argument 2: read 8 bytes at offset 508", asm.Instructions{
			asm.LoadMapPtr(asm.R1, 0).WithReference("table"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
		}},
	} {
		t.Run(tt.want, func(t *testing.T) {
			m := agreedMachine(t)
			p, err := m.Load("p", tt.insns)
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Run(p, agreedContext())
			var f *vm.Fault
			if !errors.As(err, &f) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFaultSaysWhere(t *testing.T) {
	m := agreedMachine(t)
	p, err := m.Load("probe", asm.Instructions{
		big(asm.R1, 0), asm.LoadMem(asm.R0, asm.R1, 0, asm.Byte).WithSource(asm.Comment("line 3:7")),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Run(p, nil)
	want := "run probe: instruction 2 (LdXMemB dst: r0 src: r1 off: 0 imm: 0), of line 3:7: read 1 bytes at 0x0, which is no pointer"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	for want, ins := range map[string]asm.Instruction{
		"no map \"nothing\"":     asm.LoadMapPtr(asm.R1, 0).WithReference("nothing"),
		"no symbol \"nothing\"":  asm.Ja.Label("nothing"),
		"no array of one value":  asm.LoadMapValue(asm.R1, 0, 0).WithReference("table"),
		"leads out of":           {OpCode: asm.Ja.Op(asm.ImmSource), Offset: 7},
		"there is no such regis": {OpCode: asm.Mov.Op(asm.ImmSource), Dst: 11},
	} {
		if _, err := agreedMachine(t).Load("p", asm.Instructions{ins, asm.Return()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTailCalls(t *testing.T) {
	m, err := vm.New(vm.Options{Maps: []vm.MapSpec{{Name: "next", Type: vm.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	// Each program counts in the context and goes on with itself.
	p, err := m.Load("p", asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.Mov.Imm(asm.R0, 1), asm.AddAtomic.Mem(asm.R1, asm.R0, asm.DWord, 0),
		asm.LoadMapPtr(asm.R2, 0).WithReference("next"), asm.Mov.Imm(asm.R3, 2), asm.FnTailCall.Call(),
		asm.LoadMem(asm.R0, asm.R6, 0, asm.DWord), asm.Return(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Run(p, make([]byte, 8)); got != 1 || err != nil {
		t.Errorf("without a target: got %d, %v, want 1", got, err)
	}
	if err := m.Map("next").SetProgram(2, p); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Run(p, make([]byte, 8)); got != 34 || err != nil {
		t.Errorf("got %d, %v, want 34: the first, and 33 tail calls", got, err)
	}
}
