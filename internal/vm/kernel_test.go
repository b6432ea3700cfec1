// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"

	"github.com/skep-io/skep/internal/vm"
)

// kernelMaps are the maps of random programs, in the kernel.
type kernelMaps struct{ out, table *ebpf.Map }

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it loads programs into the kernel")
	}
	_ = rlimit.RemoveMemlock() // only old kernels need it
}

func newKernelMaps(t testing.TB) kernelMaps {
	t.Helper()
	var k kernelMaps
	for spec, to := range map[*ebpf.MapSpec]**ebpf.Map{
		{Name: "out", Type: ebpf.Array, KeySize: 4, ValueSize: outSize, MaxEntries: 1}: &k.out,
		{Name: "table", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 5}:      &k.table,
	} {
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		*to = m
	}
	return k
}

// run loads and runs a program; accepted is false if the verifier refuses it.
func (k kernelMaps) run(t testing.TB, insns asm.Instructions, context []byte) (result uint32, accepted bool) {
	t.Helper()
	insns = append(asm.Instructions(nil), insns...)
	for name, m := range map[string]*ebpf.Map{"out": k.out, "table": k.table} {
		if err := insns.AssociateMap(name, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
			t.Fatal(err)
		}
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: insns, License: "GPL"})
	if err != nil {
		var refused *ebpf.VerifierError
		if !errors.As(err, &refused) {
			t.Fatalf("load: %v", err)
		}
		t.Logf("%v", err)
		return 0, false
	}
	defer p.Close()
	if err := k.out.Put(uint32(0), make([]byte, outSize)); err != nil {
		t.Fatal(err)
	}
	result, err = p.Run(&ebpf.RunOptions{Context: context})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return result, true
}

// contents are all pairs of the table, and empties it.
func (k kernelMaps) contents(t testing.TB) map[uint64]uint64 {
	t.Helper()
	got := map[uint64]uint64{}
	var key, value uint64
	for i := k.table.Iterate(); i.Next(&key, &value); {
		got[key] = value
	}
	for key := range got {
		if err := k.table.Delete(key); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func randomMachine(t testing.TB) *vm.Machine {
	t.Helper()
	m, err := vm.New(vm.Options{Maps: []vm.MapSpec{
		{Name: "out", Type: vm.Array, KeySize: 4, ValueSize: outSize, MaxEntries: 1},
		{Name: "table", Type: vm.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 5},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func randomContext(r *rand.Rand) []byte {
	context := make([]byte, 8*randomSlots)
	for i := range randomSlots {
		n := r.Uint64()
		switch r.IntN(4) {
		case 0:
			n = []uint64{0, 1, 1 << 63, 1<<63 - 1, 1<<64 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 0x80, 0x8000}[r.IntN(10)]
		case 1:
			n %= 100
		}
		binary.LittleEndian.PutUint64(context[8*i:], n)
	}
	return context
}

// TestKernelAgrees runs random programs that the verifier accepts in the kernel and in the
// machine, and compares r0 and what they left in maps.
func TestKernelAgrees(t *testing.T) {
	needRoot(t)
	const programs = 1000
	k := newKernelMaps(t)
	accepted := 0
	for seed := range uint64(programs) {
		insns := newRandom(seed, 4+int(seed%40))
		context := randomContext(rand.New(rand.NewPCG(seed, 2)))
		want, ok := k.run(t, insns, context)
		if !ok {
			continue
		}
		accepted++
		compareWithKernel(t, seed, k, insns, context, want)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d programs were accepted and compared", accepted, programs)
	if accepted < programs*9/10 {
		t.Errorf("the kernel accepted %d programs of %d: the generator is of no use", accepted, programs)
	}
}

func compareWithKernel(t *testing.T, seed uint64, k kernelMaps, insns asm.Instructions, context []byte, want uint32) {
	t.Helper()
	m := randomMachine(t)
	p, err := m.Load("random", insns)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	got, err := m.Run(p, context)
	if err != nil {
		t.Errorf("seed %d: %v\n%v", seed, err, insns)
		return
	}
	if uint32(got) != want {
		t.Errorf("seed %d: r0 is %#x, of the kernel %#x\n%v", seed, uint32(got), want, insns)
	}
	out, err := k.out.LookupBytes(uint32(0))
	if err != nil {
		t.Fatal(err)
	}
	if ours := m.Map("out").Lookup(make([]byte, 4)); !bytes.Equal(ours, out) {
		t.Errorf("seed %d: left %x, the kernel %x\n%v", seed, ours, out, insns)
	}
	table := map[uint64]uint64{}
	for _, key := range m.Map("table").Keys() {
		table[binary.LittleEndian.Uint64(key)] = binary.LittleEndian.Uint64(m.Map("table").Lookup(key))
	}
	theirs := k.contents(t)
	for key, value := range theirs {
		if ours, ok := table[key]; !ok || ours != value {
			t.Errorf("seed %d: table[%d] is %d (there: %v), of the kernel %d\n%v", seed, key, ours, ok, value, insns)
		}
	}
	if len(table) != len(theirs) {
		t.Errorf("seed %d: %d keys, the kernel has %d\n%v", seed, len(table), len(theirs), insns)
	}
}
