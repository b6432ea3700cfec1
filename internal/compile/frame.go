// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"
)

// frame is where the slots of a function are: offsets from r10, which are negative.
type frame struct {
	at   map[*Value]int64
	size int // in bytes, a multiple of 8
}

// placeSlots gives slots their places. Two that are never alive at the same time may have
// the same one: a slot is alive from where it is made, or overwritten as a whole, to where
// it is last read. The largest are placed first, each as near to r10 as those allow that
// are alive together with it.
func placeSlots(f *Func) *frame {
	s := slotsOf(f)
	together := s.interference(f)
	fr := &frame{at: map[*Value]int64{}}
	order := slices.Clone(s.all)
	sortSlots(order)
	at := make([]int64, len(s.all)) // 0: not placed yet
	for _, v := range order {
		var taken []chunk // what others have of the frame, by distance from r10
		together[s.index[v]].each(func(i int) {
			if at[i] != 0 {
				taken = append(taken, chunk{-at[i] - padded(s.all[i]), int(padded(s.all[i]))})
			}
		})
		slices.SortFunc(taken, func(a, b chunk) int { return cmp.Compare(a.off, b.off) })
		start := int64(0)
		for _, c := range taken {
			if start+padded(v) <= c.off {
				break
			}
			start = max(start, c.off+int64(c.width))
		}
		at[s.index[v]] = -(start + padded(v))
		fr.at[v] = at[s.index[v]]
		fr.size = max(fr.size, int(start+padded(v)))
	}
	return fr
}

func padded(slot *Value) int64 { return (slot.Imm + 7) &^ 7 }

// sortSlots sorts slots by size, the largest first.
func sortSlots(slots []*Value) {
	slices.SortFunc(slots, func(a, b *Value) int {
		return cmp.Or(cmp.Compare(padded(b), padded(a)), cmp.Compare(a.ID, b.ID))
	})
}

// interference is, by slot, the slots that are alive at the same time somewhere.
func (s *slotSet) interference(f *Func) []bitset {
	together := make([]bitset, len(s.all))
	for i := range together {
		together[i] = newBitset(len(s.all))
	}
	meet := func(a, b int) { together[a].add(b); together[b].add(a) }
	for i, escaped := range s.escaped {
		for j := range s.all {
			if escaped {
				meet(i, j)
			}
		}
	}
	in := map[*Block]bitset{}
	order := reversePostorder(f)
	for changed := true; changed; {
		changed = false
		for i := len(order) - 1; i >= 0; i-- {
			b := order[i]
			live := newBitset(len(s.all))
			for _, succ := range b.Succs {
				live.union(in[succ])
			}
			for n := len(b.Values) - 1; n >= 0; n-- {
				s.alive(b.Values[n], live, meet)
			}
			if in[b] == nil {
				in[b] = newBitset(len(s.all))
				changed = true
			}
			changed = in[b].union(live) || changed
		}
	}
	return together
}

// alive steps backward over a value: what it touches is together with all that are alive
// around it.
func (s *slotSet) alive(v *Value, live bitset, meet func(a, b int)) {
	if v.Op == Slot {
		live.remove(s.index[v])
		return
	}
	var touched []int
	s.accesses(v, func(a access) {
		touched = append(touched, a.slot)
		live.add(a.slot)
	})
	for _, a := range touched {
		live.each(func(b int) { meet(a, b) })
	}
	s.accesses(v, func(a access) {
		if a.write && a.from == 0 && a.to == int(s.all[a.slot].Imm) && len(touched) == 1 {
			live.remove(a.slot)
		}
	})
}
