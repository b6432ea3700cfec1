// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/vm"
)

// FuzzRun runs whatever decodes: a run ends, and what goes wrong is a fault.
func FuzzRun(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(encode(f, newRandom(seed, 10)), []byte("packet"))
	}
	for _, tt := range agreed {
		f.Add(encode(f, tt.insns), []byte{1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, code, packet []byte) {
		insns, err := asm.AppendInstructions(nil, bytes.NewReader(code), binary.LittleEndian, "linux")
		if err != nil {
			return
		}
		m := fuzzMachine(t)
		for i := range insns {
			if insns[i].IsLoadFromMap() {
				insns[i] = insns[i].WithReference([]string{"out", "table", "text", "ring", "next", "stacks", "trie", "lru", "cpus"}[uint32(insns[i].Constant)%9])
			}
		}
		p, err := m.Load("fuzz", insns)
		if err != nil {
			return
		}
		_ = m.Map("next").SetProgram(0, p)
		_, err = m.RunPacket(p, vm.XDP, packet)
		wantFault(t, err)
		_, err = m.RunPacket(p, vm.SKB, packet)
		wantFault(t, err)
		_, err = m.Run(p, make([]byte, 96))
		wantFault(t, err)
	})
}

func wantFault(t *testing.T, err error) {
	t.Helper()
	var fault *vm.Fault
	if err != nil && (!errors.As(err, &fault) || fault.Error() == "") {
		t.Errorf("not a fault: %v", err)
	}
}

func fuzzMachine(t *testing.T) *vm.Machine {
	t.Helper()
	m, err := vm.New(vm.Options{Budget: 3000, Maps: []vm.MapSpec{
		{Name: "out", Type: vm.Array, KeySize: 4, ValueSize: outSize, MaxEntries: 1},
		{Name: "text", Type: vm.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, ReadOnly: true},
		{Name: "table", Type: vm.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 5},
		{Name: "lru", Type: vm.LRUPerCPUHash, KeySize: 1, ValueSize: 3, MaxEntries: 2},
		{Name: "cpus", Type: vm.PerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: 9},
		{Name: "ring", Type: vm.RingBuffer, MaxEntries: 4096},
		{Name: "next", Type: vm.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		{Name: "stacks", Type: vm.StackTrace, KeySize: 4, ValueSize: 80, MaxEntries: 5},
		{Name: "trie", Type: vm.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 5},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// encode writes instructions as the kernel takes them.
func encode(t testing.TB, insns asm.Instructions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := append(asm.Instructions(nil), insns...).Marshal(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
