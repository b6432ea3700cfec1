// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"
)

// frame is where the slots of a function are: offsets from r10, which are negative.
type frame struct {
	at   map[*Value]int64
	size int // in bytes, of slots; a multiple of 8
}

// placeSlots gives slots their places.
func placeSlots(f *Func) *frame {
	fr := &frame{at: map[*Value]int64{}}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == Slot {
				fr.size += int(v.Imm+7) &^ 7
				fr.at[v] = -int64(fr.size)
			}
		}
	}
	return fr
}

// sortSlots sorts slots by size, the largest first.
func sortSlots(slots []*Value) {
	slices.SortFunc(slots, func(a, b *Value) int {
		return cmp.Or(cmp.Compare(b.Imm, a.Imm), cmp.Compare(a.ID, b.ID))
	})
}
