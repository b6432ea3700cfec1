// SPDX-License-Identifier: Apache-2.0

package compile

// slotSet is the slots of a function and what is known of their addresses.
type slotSet struct {
	all   []*Value
	index map[*Value]int
	// escaped slots have an address that is stored, computed with or merged by a phi: any
	// access through a pointer may be to them. Addresses given to a call are not kept by it.
	escaped []bool
	base    []int // of a slot's bytes in sets of bytes
	bytes   int
}

// access is a read or write of bytes from..to of a slot.
type access struct {
	slot     int
	from, to int
	write    bool
}

func slotsOf(f *Func) *slotSet {
	s := &slotSet{index: map[*Value]int{}}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == Slot {
				s.index[v] = len(s.all)
				s.all = append(s.all, v)
				s.base = append(s.base, s.bytes)
				s.bytes += int(v.Imm)
			}
		}
	}
	s.escaped = make([]bool, len(s.all))
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				if slot, off := slotAddress(a); slot != nil && !s.harmless(v, i, slot, off) {
					s.escaped[s.index[slot]] = true
				}
			}
		}
		if b.Exit == Return && b.Control != nil {
			if slot, _ := slotAddress(b.Control); slot != nil {
				s.escaped[s.index[slot]] = true
			}
		}
	}
	return s
}

// harmless tells whether operand i of v, an address in a slot, is one that accesses tells of.
func (s *slotSet) harmless(v *Value, i int, slot *Value, off int64) bool {
	switch {
	case v.Op == Add && i == 0 && v.Args[1].Op == Const: // an address too
		return true
	case v.Op == Call || v.Op == CallFunc || v.Op.isCompare():
		return true
	case v.Op == Copy && i == 1:
		return off >= 0 && off+int64(v.Width) <= slot.Imm
	case v.Op.isMemory() && i == 0:
		return off+v.Imm >= 0 && off+v.Imm+int64(v.Width) <= slot.Imm
	}
	return false
}

// accesses calls f with what a value reads and writes of slots that did not escape. A call
// reads all of a slot that it is given any address in, and that it may write too ends
// nothing, but for helpers that are known to fill what they are given.
func (s *slotSet) accesses(v *Value, f func(a access)) {
	at := func(p *Value, imm int64, write bool) {
		slot, off := slotAddress(p)
		if slot == nil || s.escaped[s.index[slot]] {
			return
		}
		from := int(off + imm)
		f(access{s.index[slot], from, from + v.Width, write})
	}
	switch v.Op {
	case Load, LoadPtr:
		at(v.Args[0], v.Imm, false)
	case AtomicAdd:
		at(v.Args[0], v.Imm, false)
	case Copy:
		at(v.Args[1], 0, false)
		at(v.Args[0], v.Imm, true)
	case Store, Zero:
		at(v.Args[0], v.Imm, true)
	case Call, CallFunc:
		for i, a := range v.Args {
			if i == 0 && s.filled(v, f) {
				continue
			}
			if slot, _ := slotAddress(a); slot != nil && !s.escaped[s.index[slot]] {
				f(access{s.index[slot], 0, int(slot.Imm), false})
			}
		}
	}
}

// filled calls f with what a helper fills, which is so many bytes as its second operand
// says from its first on; false if it does no such thing.
func (s *slotSet) filled(v *Value, f func(a access)) bool {
	if v.Op != Call || !fillingHelpers[v.Imm] || len(v.Args) < 2 || v.Args[1].Op != Const {
		return false
	}
	slot, off := slotAddress(v.Args[0])
	size := v.Args[1].Imm
	if slot == nil || off < 0 || size < 1 || size > slot.Imm-off || s.escaped[s.index[slot]] {
		return false
	}
	f(access{s.index[slot], int(off), int(off + size), true})
	return true
}
