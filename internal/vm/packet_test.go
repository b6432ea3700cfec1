// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/vm"
)

// bounded begins a program that reads so many bytes of a packet: r2 is its begin.
func bounded(data, end int16, size int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, data, asm.Word), asm.LoadMem(asm.R3, asm.R1, end, asm.Word), asm.Mov.Imm(asm.R0, 77),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, size), asm.JGT.Reg(asm.R4, asm.R3, "end"),
	}
}

var packetPrograms = []struct {
	name  string
	typ   ebpf.ProgramType
	kind  vm.PacketKind
	insns asm.Instructions
	want  uint32
}{
	{"xdp reads", ebpf.XDP, vm.XDP, append(bounded(0, 4, 64),
		asm.LoadMem(asm.R0, asm.R2, 12, asm.Half), asm.HostTo(asm.BE, asm.R0, asm.Half), asm.Return().WithSymbol("end")), 12<<8 | 13},
	{"xdp is told of the end", ebpf.XDP, vm.XDP, append(bounded(0, 4, 65),
		asm.LoadMem(asm.R0, asm.R2, 64, asm.Byte), asm.Return().WithSymbol("end")), 77},
	{"xdp writes", ebpf.XDP, vm.XDP, append(bounded(0, 4, 8),
		asm.StoreImm(asm.R2, 4, -2, asm.Word), asm.LoadMem(asm.R0, asm.R2, 4, asm.Half), asm.Return().WithSymbol("end")), 0xfffe},
	{"length", ebpf.XDP, vm.XDP, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), asm.Sub.Reg(asm.R0, asm.R2), asm.Return(),
	}, 64},
	{"tc reads", ebpf.SchedCLS, vm.SKB, append(bounded(76, 80, 20),
		asm.LoadMem(asm.R0, asm.R2, 16, asm.Word), asm.Return().WithSymbol("end")), 0x13121110},
	{"tc knows the length", ebpf.SchedCLS, vm.SKB, asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), asm.Return()}, 64},
	{"tc loads bytes", ebpf.SchedCLS, vm.SKB, asm.Instructions{
		asm.Mov.Imm(asm.R2, 14), asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 4), asm.FnSkbLoadBytes.Call(),
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.Word), asm.Add.Reg(asm.R0, asm.R1), asm.Return(),
	}, 0x11100f0e},
	{"tc loads bytes that are not there", ebpf.SchedCLS, vm.SKB, asm.Instructions{
		asm.Mov.Imm(asm.R2, 62), asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 4), asm.FnSkbLoadBytes.Call(),
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.Word), asm.Add.Reg(asm.R0, asm.R1), asm.Return(),
	}, 1<<32 - 14},
	{"classic load", ebpf.SchedCLS, vm.SKB, asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.LoadAbs(12, asm.Word), asm.Return(),
	}, 0x0c0d0e0f},
	{"classic load by a register", ebpf.SchedCLS, vm.SKB, asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.Mov.Imm(asm.R7, 3), asm.LoadInd(asm.R0, asm.R7, 10, asm.Half), asm.Return(),
	}, 0x0d0e},
	{"classic load of what is not there ends the program", ebpf.SchedCLS, vm.SKB, asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.LoadAbs(61, asm.Word), asm.Mov.Imm(asm.R0, 5), asm.Return(),
	}, 0},
}

func testPacket() []byte {
	packet := make([]byte, 64)
	for i := range packet {
		packet[i] = byte(i)
	}
	return packet
}

func TestPackets(t *testing.T) {
	for _, tt := range packetPrograms {
		t.Run(tt.name, func(t *testing.T) {
			m := machine(t, nil)
			p, err := m.Load("p", tt.insns)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.RunPacket(p, tt.kind, testPacket())
			if err != nil || uint32(got) != tt.want {
				t.Errorf("got %#x, %v, want %#x", got, err, tt.want)
			}
		})
	}
}

// TestPacketsByKernel wants the same of the kernel.
func TestPacketsByKernel(t *testing.T) {
	needRoot(t)
	for _, tt := range packetPrograms {
		t.Run(tt.name, func(t *testing.T) {
			insns := append(asm.Instructions(nil), tt.insns...)
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: tt.typ, Instructions: insns, License: "GPL"})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			defer p.Close()
			got, err := p.Run(&ebpf.RunOptions{Data: testPacket(), DataOut: make([]byte, 256), Repeat: 1})
			if err != nil || got != tt.want {
				t.Errorf("got %#x, %v, want %#x", got, err, tt.want)
			}
		})
	}
}
