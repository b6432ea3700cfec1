// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/skep-io/skep/internal/vm"
)

var objectMaps = map[ebpf.MapType]vm.MapType{
	ebpf.Hash: vm.Hash, ebpf.LRUHash: vm.LRUHash, ebpf.Array: vm.Array, ebpf.PerCPUHash: vm.PerCPUHash, ebpf.PerCPUArray: vm.PerCPUArray,
	ebpf.LPMTrie: vm.LPMTrie, ebpf.RingBuf: vm.RingBuffer, ebpf.PerfEventArray: vm.PerfEventArray, ebpf.ProgramArray: vm.ProgramArray,
	ebpf.LRUCPUHash: vm.LRUPerCPUHash, ebpf.StackTrace: vm.StackTrace,
}

// TestObjects: every program of skep's own objects is resolved, as clang made them.
func TestObjects(t *testing.T) {
	objects, err := filepath.Glob("../../bpf/*/*.o")
	if err != nil || len(objects) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	programs := 0
	for _, path := range objects {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			t.Fatal(err)
		}
		m := objectMachine(t, spec)
		for name, p := range spec.Programs {
			if _, err := m.Load(name, p.Instructions); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			programs++
		}
	}
	t.Logf("%d programs of %d objects", programs, len(objects))
}

// objectMachine has the maps of an object; those that belong to sockets and tasks are hashes.
func objectMachine(t *testing.T, spec *ebpf.CollectionSpec) *vm.Machine {
	t.Helper()
	var maps []vm.MapSpec
	for name, s := range spec.Maps {
		made := vm.MapSpec{Name: name, Type: objectMaps[s.Type], KeySize: int(s.KeySize), ValueSize: int(s.ValueSize), MaxEntries: int(s.MaxEntries)}
		if made.MaxEntries == 0 || s.Type == ebpf.RingBuf {
			made.MaxEntries = 4096
		}
		made.ReadOnly = strings.HasPrefix(name, ".rodata")
		if len(s.Contents) == 1 {
			made.Contents, _ = s.Contents[0].Value.([]byte)
		}
		maps = append(maps, made)
	}
	m, err := vm.New(vm.Options{Maps: maps})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// BenchmarkRun reports the time of an instruction: a loop of arithmetic and memory.
func BenchmarkRun(b *testing.B) {
	m := machine(b, nil)
	p, err := m.Load("p", asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord), asm.Mov.Imm(asm.R1, 10_000),
		asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord).WithSymbol("again"), asm.Add.Reg(asm.R2, asm.R1), asm.StoreMem(asm.RFP, -8, asm.R2, asm.DWord),
		asm.Sub.Imm(asm.R1, 1), asm.JNE.Imm(asm.R1, 0, "again"), asm.Return(),
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := m.Run(p, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50_000, "ns/instruction")
}
