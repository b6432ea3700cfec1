// SPDX-License-Identifier: Apache-2.0

package compile

import "slices"

// sinkSlots moves each Slot to where it is first used, because its place in the frame is
// its own from there on: to the block that dominates all of its uses, but into no loop that
// it is not in already, as what it holds may have to last from one turn to the next.
func sinkSlots(f *Func) {
	t := dominators(f)
	around := loops(t)
	users := map[*Value][]*Value{} // of slots
	control := map[*Value]bool{}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for _, a := range v.Args {
				if a.Op == Slot {
					users[a] = append(users[a], v)
				}
			}
		}
		if b.Control != nil {
			control[b.Control] = true
		}
	}
	for _, b := range t.order {
		for _, v := range slices.Clone(b.Values) {
			if v.Op == Slot && !control[v] {
				if to := target(t, around, v, users[v]); to != nil {
					moveSlot(v, to, users[v])
				}
			}
		}
	}
}

// target is the block to move a slot to, or nil if it has to stay.
func target(t *domTree, around map[*Block][]*Block, slot *Value, users []*Value) *Block {
	var to *Block
	for _, u := range users {
		if u.Op == Phi {
			return nil
		}
		if to == nil {
			to = u.Block
		}
		for !t.dominates(to, u.Block) {
			to = t.idom[to]
		}
	}
	for to != nil && to != slot.Block {
		if !slices.ContainsFunc(around[to], func(h *Block) bool { return !slices.Contains(around[slot.Block], h) }) {
			break
		}
		to = t.idom[to]
	}
	return to
}

// moveSlot puts a slot before its first use in a block, or at the end if that has none.
func moveSlot(slot *Value, to *Block, users []*Value) {
	from := slot.Block
	from.Values = slices.DeleteFunc(from.Values, func(v *Value) bool { return v == slot })
	at := slices.IndexFunc(to.Values, func(v *Value) bool { return v.Op != Phi && slices.Contains(users, v) })
	if at < 0 {
		at = len(to.Values)
	}
	to.Values = slices.Insert(to.Values, at, slot)
	slot.Block = to
}
