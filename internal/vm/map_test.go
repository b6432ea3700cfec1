// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/vm"
)

func machine(t testing.TB, host *vm.Host, specs ...vm.MapSpec) *vm.Machine {
	t.Helper()
	m, err := vm.New(vm.Options{Host: host, Maps: specs})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t testing.TB, m *vm.Machine, insns ...asm.Instruction) uint64 {
	t.Helper()
	p, err := m.Load("p", insns)
	if err != nil {
		t.Fatal(err)
	}
	r0, err := m.Run(p, make([]byte, 96))
	if err != nil {
		t.Fatal(err)
	}
	return r0
}

// TestMapsAgree does the same to maps of the kernel and of the machine.
func TestMapsAgree(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		ours   vm.MapSpec
		theirs ebpf.MapSpec
	}{
		{
			vm.MapSpec{Name: "m", Type: vm.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 8},
			ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 8},
		},
		{
			vm.MapSpec{Name: "m", Type: vm.Array, KeySize: 4, ValueSize: 4, MaxEntries: 8},
			ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 8},
		},
		{
			vm.MapSpec{Name: "m", Type: vm.LPMTrie, KeySize: 7, ValueSize: 4, MaxEntries: 8},
			ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 7, ValueSize: 4, MaxEntries: 8, Flags: 1}, // BPF_F_NO_PREALLOC
		},
	} {
		t.Run(tt.theirs.Type.String(), func(t *testing.T) {
			ours := machine(t, nil, tt.ours).Map("m")
			theirs, err := ebpf.NewMap(&tt.theirs)
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			mapsAgree(t, ours, theirs)
		})
	}
}

func mapsAgree(t *testing.T, ours *vm.Map, theirs *ebpf.Map) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range 4000 {
		key := make([]byte, theirs.KeySize())
		switch theirs.Type() {
		case ebpf.LPMTrie:
			binary.LittleEndian.PutUint32(key, uint32(r.IntN(27)))
			key[4], key[5] = []byte{0, 0x80, 0xff}[r.IntN(3)], []byte{0, 0x10}[r.IntN(2)]
		default:
			key[0] = byte(r.IntN(12))
		}
		switch r.IntN(4) {
		case 0, 1:
			value := binary.LittleEndian.AppendUint32(nil, r.Uint32())
			if ours, theirs := ours.Update(key, value), theirs.Put(key, value); (ours == nil) != (theirs == nil) {
				t.Fatalf("update %x: %v, of the kernel %v", key, ours, theirs)
			}
		case 2:
			if deleted, err := ours.Delete(key), theirs.Delete(key); deleted != (err == nil) {
				t.Fatalf("delete %x: %v, of the kernel %v", key, deleted, err)
			}
		}
		for range 3 {
			got := ours.Lookup(key)
			want, err := theirs.LookupBytes(key)
			if !bytes.Equal(got, want) || err != nil && got != nil {
				t.Fatalf("lookup %x: %x, of the kernel %x, %v", key, got, want, err)
			}
			if got != nil {
				hits++
			}
			key[len(key)-1] ^= byte(r.IntN(4))
		}
	}
	if hits < 1000 {
		t.Errorf("%d lookups found anything: the test is of no use", hits)
	}
}

func TestLRU(t *testing.T) {
	m := machine(t, nil, vm.MapSpec{Name: "m", Type: vm.LRUHash, KeySize: 1, ValueSize: 1, MaxEntries: 3}).Map("m")
	for _, key := range []byte{1, 2, 3} {
		if err := m.Update([]byte{key}, []byte{key}); err != nil {
			t.Fatal(err)
		}
	}
	m.Lookup([]byte{1})
	if err := m.Update([]byte{4}, []byte{4}); err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(m.Keys()...); !bytes.Equal(got, []byte{1, 3, 4}) {
		t.Errorf("left are %v, want 1 3 4: 2 was not used for longest", got)
	}
}

func TestPerCPU(t *testing.T) {
	for _, typ := range []vm.MapType{vm.PerCPUHash, vm.PerCPUArray} {
		host := &vm.Host{CPUs: 3}
		m := machine(t, host, vm.MapSpec{Name: "m", Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 2})
		count := []asm.Instruction{
			asm.StoreImm(asm.RFP, -4, 1, asm.Word), asm.StoreImm(asm.RFP, -16, 0, asm.Word), asm.StoreImm(asm.RFP, -12, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, 0).WithReference("m"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -16), asm.Mov.Imm(asm.R4, 1), asm.FnMapUpdateElem.Call(),
			asm.LoadMapPtr(asm.R1, 0).WithReference("m"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
			asm.Mov.Imm(asm.R1, 1), asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0), asm.Mov.Imm(asm.R0, 0), asm.Return(),
		}
		for _, cpu := range []int{2, 0, 2} {
			host.CPU = cpu
			run(t, m, count...)
		}
		for cpu, want := range []uint64{1, 0, 2} {
			if got := binary.LittleEndian.Uint64(m.Map("m").LookupCPU([]byte{1, 0, 0, 0}, cpu)); got != want {
				t.Errorf("type %d: processor %d has %d, want %d", typ, cpu, got, want)
			}
		}
	}
}

func TestRecords(t *testing.T) {
	m := machine(t, nil, vm.MapSpec{Name: "ring", Type: vm.RingBuffer, MaxEntries: 64}, vm.MapSpec{Name: "perf", Type: vm.PerfEventArray, MaxEntries: 2})
	reserve := func(value int64, finish asm.BuiltinFunc) []asm.Instruction {
		return []asm.Instruction{
			asm.LoadMapPtr(asm.R1, 0).WithReference("ring"), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
			asm.StoreImm(asm.R0, 4, value, asm.Word), asm.Mov.Reg(asm.R1, asm.R0), asm.Mov.Imm(asm.R2, 0), finish.Call(),
		}
	}
	insns := slices.Concat(reserve(7, asm.FnRingbufSubmit), reserve(8, asm.FnRingbufDiscard), []asm.Instruction{
		asm.StoreImm(asm.RFP, -4, 9, asm.Word),
		asm.LoadMapPtr(asm.R1, 0).WithReference("ring"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.Mov.Imm(asm.R3, 4), asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.LoadMapPtr(asm.R2, 0).WithReference("perf"), asm.Mov.Imm(asm.R3, -1), asm.RSh.Imm(asm.R3, 32),
		asm.Mov.Reg(asm.R4, asm.RFP), asm.Add.Imm(asm.R4, -4), asm.Mov.Imm(asm.R5, 4), asm.FnPerfEventOutput.Call(),
		asm.LoadMapPtr(asm.R1, 0).WithReference("ring"), asm.Mov.Imm(asm.R2, 0), asm.FnRingbufQuery.Call(), asm.Return(),
	})
	if got := run(t, m, insns...); got != 48 {
		t.Errorf("there are %d bytes to read, want 48: three records with their headers", got)
	}
	got := m.Map("ring").Records()
	if len(got) != 2 || !bytes.Equal(got[0], []byte{0, 0, 0, 0, 7, 0, 0, 0}) || !bytes.Equal(got[1], []byte{9, 0, 0, 0}) {
		t.Errorf("ring has %x", got)
	}
	if got := m.Map("perf").Records(); len(got) != 1 || !bytes.Equal(got[0], []byte{9, 0, 0, 0}) {
		t.Errorf("perf has %x", got)
	}
	if got := m.Map("ring").Records(); got != nil {
		t.Errorf("records were taken, and are there: %x", got)
	}
}

func TestStackTraces(t *testing.T) {
	host := &vm.Host{Stack: func(user bool) []uint64 {
		if user {
			return []uint64{100, 200}
		}
		return []uint64{1, 2, 3, 4, 5}
	}}
	m := machine(t, host, vm.MapSpec{Name: "m", Type: vm.StackTrace, KeySize: 4, ValueSize: 24, MaxEntries: 64})
	id := func(flags int32) []byte {
		return binary.LittleEndian.AppendUint32(nil, uint32(run(t, m,
			asm.LoadMapPtr(asm.R2, 0).WithReference("m"), asm.Mov.Imm(asm.R3, flags), asm.FnGetStackid.Call(), asm.Return())))
	}
	for flags, want := range map[int32][3]uint64{0: {1, 2, 3}, 2: {3, 4, 5}, 1 << 8: {100, 200, 0}} {
		key := id(flags)
		got := m.Map("m").Lookup(key)
		if len(got) != 24 {
			t.Fatalf("flags %#x: id %x leads to %x", flags, key, got)
		}
		for i, address := range want {
			if a := binary.LittleEndian.Uint64(got[8*i:]); a != address {
				t.Errorf("flags %#x: address %d is %d, want %d", flags, i, a, address)
			}
		}
		if again := id(flags); !bytes.Equal(again, key) {
			t.Errorf("flags %#x: the same stack has the ids %x and %x", flags, key, again)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, spec := range map[string]vm.MapSpec{
		"no entries":          {Type: vm.Hash, KeySize: 4, ValueSize: 4},
		"a key of no size":    {Type: vm.Hash, ValueSize: 4, MaxEntries: 1},
		"an array's key of 8": {Type: vm.Array, KeySize: 8, ValueSize: 4, MaxEntries: 1},
		"a ring of 100":       {Type: vm.RingBuffer, MaxEntries: 100},
		"too much":            {Type: vm.Array, KeySize: 4, ValueSize: 1 << 20, MaxEntries: 1 << 20},
	} {
		if _, err := vm.New(vm.Options{Maps: []vm.MapSpec{spec}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	twice := vm.MapSpec{Name: "m", Type: vm.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	if _, err := vm.New(vm.Options{Maps: []vm.MapSpec{twice, twice}}); err == nil {
		t.Error("two maps of one name: no error")
	}
}

var errOwn = errors.New("said so")

func TestOwnHelper(t *testing.T) {
	m, err := vm.New(vm.Options{Helpers: map[int64]vm.Helper{5: func(c *vm.Call) (vm.Value, error) {
		n, err := c.Number(0)
		if n == 3 {
			err = errOwn
		}
		return vm.Number(n + 1), err
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, m, asm.Mov.Imm(asm.R1, 2), asm.FnKtimeGetNs.Call(), asm.Return()); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
	p, err := m.Load("p", asm.Instructions{asm.Mov.Imm(asm.R1, 3), asm.FnKtimeGetNs.Call(), asm.Return()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Run(p, nil); !errors.Is(err, errOwn) {
		t.Errorf("got %v", err)
	}
}
