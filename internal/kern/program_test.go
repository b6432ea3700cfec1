// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
)

// TestStatsAreCheap: what is read each second does not copy the programs' code.
func TestStatsAreCheap(t *testing.T) {
	s := ladderOf(true, "good: fork_btf exec_btf exit_btf")
	k := openPrivate(t, s, nil)
	if _, err := k.Attach(s); err != nil {
		t.Fatal(err)
	}
	for i, stats := range k.Stats() {
		info, err := k.programs[i].program.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		if n, ok := info.VerifiedInstructions(); stats.ID != uint32(id) || ok && stats.Instructions != n {
			t.Errorf("%s: id %d and %d instructions, the kernel says %d and %d", stats.Name, stats.ID, stats.Instructions, id, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { k.Stats() }); n > 16 {
		t.Errorf("%v allocations for 3 programs", n)
	}
}

// TestReadLossesKeepsBuffer: it is called with each batch, and what it reads grows with the CPUs.
func TestReadLossesKeepsBuffer(t *testing.T) {
	k := openPrivate(t, ladderOf(true, "good: fork_btf"), nil)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.types.Load().Kernel(); err != nil { // Open decodes them meanwhile, which takes memory
		t.Fatal(err)
	}
	const runs = 200
	var losses Losses
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if err := k.ReadLosses(&losses); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	// The library's own copy is one; the rest is what is not in proportion.
	perRun, size := (after.TotalAlloc-before.TotalAlloc)/runs, uint64(cpus)*uint64(unsafe.Sizeof(losses))
	if perRun > size*3/2+512 {
		t.Errorf("%d bytes are allocated to read %d", perRun, size)
	}
}

// TestRescuesBeginAnew: the counter of what was made good belongs to the program whose
// misses it is taken off.
func TestRescuesBeginAnew(t *testing.T) {
	root := pinRoot(t)
	s := ladderOf(true, "good: fork_btf fork2_btf")
	s.Rescues = []Rescue{{Program: "fork_btf", By: "fork2_btf", Counter: "fork_rescues"}}
	counted := func(k *Kernel) (sum uint64) {
		t.Helper()
		var perCPU []uint64
		if err := k.maps["fork_rescues"].Lookup(uint32(0), &perCPU); err != nil {
			t.Fatal(err)
		}
		for _, n := range perCPU {
			sum += n
		}
		return sum
	}
	const many = 1 << 40
	k := openPinned(t, root, s)
	attachOne(t, k, s)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	perCPU := make([]uint64, cpus)
	perCPU[0] = many
	if err := k.maps["fork_rescues"].Put(uint32(0), perCPU); err != nil {
		t.Fatal(err)
	}
	k.Close()

	k = openPinned(t, root, s)
	attachOne(t, k, s)
	if n := counted(k); n < many {
		t.Errorf("taken over with its program it is %d", n)
	}
	pin := k.programs[0].pin
	k.Close()
	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}

	k = openPinned(t, root, s)
	attachOne(t, k, s)
	if n := counted(k); !k.Adopted() || n >= many {
		t.Errorf("adopted %v: with a new program it is %d", k.Adopted(), n)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}
