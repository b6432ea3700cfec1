// SPDX-License-Identifier: Apache-2.0

package compile

import "testing"

// TestAllocation looks whether what the allocator promises holds: no register has two
// things at once, nor what a call overwrites, and what must be in a register is in one.
func TestAllocation(t *testing.T) {
	few := [10]bool{2: true, 3: true, 4: true, 5: true, 8: true, 9: true}
	for seed := range uint64(200) {
		for _, avoid := range [][10]bool{{}, few} {
			p := newRandom(seed, 10+int(seed%40))
			f := p.Funcs[0].clone()
			expandDivision(f, Options{})
			if seed%2 == 0 {
				simplify(f, p.Maps)
			}
			splitCriticalEdges(f)
			m := selectInstructions(f, layout(f), Options{}, placeSlots(f))
			numberInsts(m)
			liveness(m)
			l := intervals(m)
			if err := allocate(l, avoid); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			checkAllocation(t, l, avoid)
		}
	}
}

func checkAllocation(t *testing.T, l *lives, avoid [10]bool) {
	t.Helper()
	var byRegister [10][]*interval
	for _, it := range l.of {
		for ; it != nil; it = it.next {
			if it.next != nil && it.next.start() < it.end() {
				t.Fatalf("register %d: parts overlap: %v %v", it.reg, it.spans, it.next.spans)
			}
			if it.spilled {
				if pos := it.nextUse(0, true); pos != never {
					t.Fatalf("register %d is in the frame at %d, where it must not be", it.reg, pos)
				}
				continue
			}
			if !it.placed || avoid[it.phys] {
				t.Fatalf("register %d: part %v is in r%d", it.reg, it.spans, it.phys)
			}
			byRegister[it.phys] = append(byRegister[it.phys], it)
		}
	}
	for r, its := range byRegister {
		for i, a := range its {
			if pos := meet(a.spans, l.fixed[r]); pos != never {
				t.Fatalf("r%d has virtual register %d at %d, where a call overwrites it", r, a.reg, pos)
			}
			for _, b := range its[:i] {
				if pos := meet(a.spans, b.spans); pos != never {
					t.Fatalf("r%d has virtual registers %d and %d at %d", r, a.reg, b.reg, pos)
				}
			}
		}
	}
}
