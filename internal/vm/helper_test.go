// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/vm"
)

// read is a call of a helper that reads 8 bytes at an address into a frame that holds -1,
// and what is there then, or what the helper said.
func read(fn asm.BuiltinFunc, address uint64, answer bool) []asm.Instruction {
	insns := []asm.Instruction{
		asm.Mov.Imm(asm.R1, -1), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), big(asm.R3, address),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 8), fn.Call(),
	}
	if !answer {
		insns = append(insns, asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord))
	}
	return append(insns, asm.Return())
}

func TestHost(t *testing.T) {
	const kernel, user = 0xffff_8880_0000_1000, 0x5555_0000_0000
	host := &vm.Host{
		PidTgid: 7<<32 | 8, UidGid: 1000<<32 | 1001, Cgroup: 42, Task: kernel, Comm: "a-name-that-is-too-long", CPU: 1, Cookie: 9, FuncIP: 10,
		Ancestors: []uint64{1, 2}, Random: func() uint32 { return 4 },
		Time:   func(c vm.Clock) uint64 { return 100 + uint64(c) },
		Kernel: vm.Segments{kernel: []byte("kernel\x00\x00more"), kernel + 100: {1, 2, 3, 4}},
		User:   vm.Segments{user: []byte("user\x00rest")},
	}
	word := func(s string) uint64 { return binary.LittleEndian.Uint64([]byte(s)) }
	const efault, erange = ^uint64(0) - 13, ^uint64(0) - 33
	for _, tt := range []struct {
		name  string
		want  uint64
		insns []asm.Instruction
	}{
		{"pid", 7<<32 | 8, []asm.Instruction{asm.FnGetCurrentPidTgid.Call(), asm.Return()}},
		{"uid", 1000<<32 | 1001, []asm.Instruction{asm.FnGetCurrentUidGid.Call(), asm.Return()}},
		{"cgroup", 42, []asm.Instruction{asm.FnGetCurrentCgroupId.Call(), asm.Return()}},
		{"ancestor", 2, []asm.Instruction{asm.Mov.Imm(asm.R1, 1), asm.FnGetCurrentAncestorCgroupId.Call(), asm.Return()}},
		{"no ancestor", 0, []asm.Instruction{asm.Mov.Imm(asm.R1, 2), asm.FnGetCurrentAncestorCgroupId.Call(), asm.Return()}},
		{"processor", 1, []asm.Instruction{asm.FnGetSmpProcessorId.Call(), asm.Return()}},
		{"random", 4, []asm.Instruction{asm.FnGetPrandomU32.Call(), asm.Return()}},
		{"time", 100, []asm.Instruction{asm.FnKtimeGetNs.Call(), asm.Return()}},
		{"time since boot", 101, []asm.Instruction{asm.FnKtimeGetBootNs.Call(), asm.Return()}},
		{"coarse time", 102, []asm.Instruction{asm.FnKtimeGetCoarseNs.Call(), asm.Return()}},
		{"cookie", 9, []asm.Instruction{asm.FnGetAttachCookie.Call(), asm.Return()}},
		{"function", 10, []asm.Instruction{asm.FnGetFuncIp.Call(), asm.Return()}},
		{"comm", word("name-tha"), []asm.Instruction{
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -16), asm.Mov.Imm(asm.R2, 16), asm.FnGetCurrentComm.Call(),
			asm.LoadMem(asm.R0, asm.RFP, -16, asm.DWord), asm.RSh.Imm(asm.R0, 16),
			asm.LoadMem(asm.R1, asm.RFP, -8, asm.DWord), asm.LSh.Imm(asm.R1, 48), asm.Or.Reg(asm.R0, asm.R1), asm.Return(),
		}},
		{"kernel memory", word("kernel\x00\x00"), read(asm.FnProbeReadKernel, kernel, false)},
		{"too little kernel memory is cleared", 0, read(asm.FnProbeReadKernel, kernel+100, false)},
		{"too little kernel memory is an error", efault, read(asm.FnProbeReadKernel, kernel+100, true)},
		{"user memory is not the kernel's", erange, read(asm.FnProbeReadKernel, user, true)},
		{"user memory", word("user\x00res"), read(asm.FnProbeReadUser, user, false)},
		{"either memory", word("user\x00res"), read(asm.FnProbeRead, user, false)},
		{"either memory, the kernel's", word("kernel\x00\x00"), read(asm.FnProbeRead, kernel, false)},
		{"a string stops", word("user\x00\xff\xff\xff"), read(asm.FnProbeReadUserStr, user, false)},
		{"a string has a length", 5, read(asm.FnProbeReadUserStr, user, true)},
		{"no string", efault, read(asm.FnProbeReadUserStr, user+100, true)},
		{"a pointer that is followed", word("kernel\x00\x00"), []asm.Instruction{
			asm.FnGetCurrentTask.Call(), asm.LoadMem(asm.R0, asm.R0, 0, asm.DWord), asm.Return(),
		}},
		{"a pointer to nothing that is followed", 0, []asm.Instruction{big(asm.R1, 8), asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord), asm.Return()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := run(t, machine(t, host), tt.insns...); got != tt.want {
				t.Errorf("got %#x, want %#x", got, tt.want)
			}
		})
	}
}

// TestRepeatable: two machines that nothing was said to give the same answers.
func TestRepeatable(t *testing.T) {
	insns := []asm.Instruction{
		asm.FnKtimeGetNs.Call(), asm.Mov.Reg(asm.R6, asm.R0), asm.FnGetPrandomU32.Call(), asm.LSh.Imm(asm.R0, 20), asm.Xor.Reg(asm.R0, asm.R6), asm.Return(),
	}
	a, b := machine(t, nil), machine(t, nil)
	first := run(t, a, insns...)
	if second := run(t, b, insns...); first != second {
		t.Errorf("got %#x and %#x", first, second)
	}
	if again := run(t, a, insns...); again == first {
		t.Errorf("time and random numbers stand still at %#x", again)
	}
}
