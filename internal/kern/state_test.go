// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/internal/abi"
)

// TestState: words are in the kernel's map as soon as they are set, and the next agent's.
func TestState(t *testing.T) {
	root := pinRoot(t)
	s := ladderOf(false, "good: fork_btf")
	k := openPinned(t, root, s)
	state, err := k.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, stateWords - 1} {
		state.Set(i, uint64(i)+1<<40)
		var in uint64
		if err := k.maps[stateMap].Lookup(uint32(i), &in); err != nil || in != uint64(i)+1<<40 {
			t.Errorf("word %d is %d in the map (%v)", i, in, err)
		}
	}
	k.Close()
	k = openPinned(t, root, s)
	if state, err = k.State(); err != nil {
		t.Fatal(err)
	}
	if got := state.Get(stateWords - 1); got != stateWords-1+1<<40 || state.Get(2) != 0 {
		t.Errorf("the next agent reads %d and %d", got, state.Get(2))
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}

// TestLosses: the counters of all CPUs are added up.
func TestLosses(t *testing.T) {
	k := openPrivate(t, ladderOf(false, "good: fork_btf"), nil)
	var perCPU = make([]Losses, ebpf.MustPossibleCPU())
	for cpu := range perCPU {
		perCPU[cpu][abi.LossRingFull][abi.EventExec] = 10
		perCPU[cpu][abi.LossTableFull][abi.EventFork] = uint64(cpu)
	}
	if err := k.maps["loss"].Put(uint32(0), perCPU); err != nil {
		t.Fatal(err)
	}
	got := Losses{abi.LossRingFull: {abi.EventExit: 99}} // of before
	if err := k.ReadLosses(&got); err != nil {
		t.Fatal(err)
	}
	n := uint64(len(perCPU))
	want := Losses{abi.LossRingFull: {abi.EventExec: 10 * n}, abi.LossTableFull: {abi.EventFork: n * (n - 1) / 2}}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMeter: statistics are on while somebody looks, and off some time after.
func TestMeter(t *testing.T) {
	needRoot(t)
	var m Meter
	for _, want := range []bool{false, true} {
		if on, err := m.Look(); err != nil || on != want {
			t.Errorf("on already: %v, %v; want %v", on, err, want)
		}
	}
	m.expire() // too early
	if m.stats == nil {
		t.Error("off though somebody has just looked")
	}
	m.until = time.Now().Add(-time.Second)
	m.expire()
	if m.stats != nil {
		t.Error("on though nobody looks")
	}
	m.expire() // twice does no harm
	if on, err := m.Look(); err != nil || on {
		t.Errorf("the next look: %v, %v", on, err)
	}
	m.until = time.Time{}
	m.expire()
}

// TestSweep deletes what is refused and nothing else.
func TestSweep(t *testing.T) {
	k := openPrivate(t, ladderOf(false, "good: fork_btf"), nil)
	m := k.maps["processes"]
	for tgid := range uint32(100) {
		if err := m.Put(tgid, abi.Process{ID: abi.ExecID{Tgid: tgid}}); err != nil {
			t.Fatal(err)
		}
	}
	n, err := k.Sweep(func(p *abi.Process) bool { return p.ID.Tgid%10 == 0 })
	if err != nil || n != 90 {
		t.Errorf("swept %d, %v; want 90", n, err)
	}
	var tgid uint32
	var p abi.Process
	left := 0
	for it := m.Iterate(); it.Next(&tgid, &p); left++ {
		if tgid%10 != 0 {
			t.Errorf("%d is left", tgid)
		}
	}
	if left != 10 {
		t.Errorf("%d are left, want 10", left)
	}
}
