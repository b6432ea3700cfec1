// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/skep-io/skep/internal/abi"
)

// TestEntries: more entries than fit into one batch come once each, and leave once.
func TestEntries(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a map")
	}
	_ = rlimit.RemoveMemlock()
	const n = 3*entriesBatch + 7
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 16, MaxEntries: n})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	type value struct{ A, B uint64 }
	for key := range uint64(n) {
		if err := m.Put(key, value{key, 2 * key}); err != nil {
			t.Fatal(err)
		}
	}
	left := Leftover{Records: map[uint16]uint64{uint16(abi.EventUdp): 5, 3: 4}}
	if left.countFlows(m); left.Records[uint16(abi.EventUdp)] != n || left.Records[3] != 4 {
		t.Errorf("counted %v", left.Records)
	}
	e := &Entries[uint64, value]{m: m, name: "test"}
	for round, want := range []int{n, 0} {
		seen := map[uint64]int{}
		if err := e.Each(func(k *uint64, v *value) {
			if seen[*k]++; *v != (value{*k, 2 * *k}) {
				t.Errorf("entry %d has %v", *k, *v)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if len(seen) != want {
			t.Fatalf("round %d: %d entries, want %d", round, len(seen), want)
		}
		for k, times := range seen {
			v, ok, err := e.Take(&k)
			if times != 1 || err != nil || !ok || v.A != k {
				t.Fatalf("entry %d came %d times; take: %v, %v, %v", k, times, v, ok, err)
			}
			if _, ok, err := e.Take(&k); ok || err != nil {
				t.Fatalf("entry %d taken twice: %v", k, err)
			}
		}
	}
}
