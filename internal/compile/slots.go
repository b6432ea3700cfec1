// SPDX-License-Identifier: Apache-2.0

package compile

// slotSet is the slots of a function and what is known of their addresses.
type slotSet struct {
	all   []*Value
	index map[*Value]int
	// root is, by value ID, the slot that an address is somewhere in, or -1.
	root []int
	// escaped slots have an address that is stored or merged with that of another: any access
	// through a pointer may be to them. Addresses given to a call are not kept by it.
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
	s.findRoots(f)
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				if n := s.root[a.ID]; n >= 0 && !s.harmless(v, i) {
					s.escaped[n] = true
				}
			}
		}
		if b.Exit == Return && b.Control != nil && s.root[b.Control.ID] >= 0 {
			s.escaped[s.root[b.Control.ID]] = true
		}
	}
	return s
}

// findRoots follows addresses through additions and phis. What a phi merges with the address
// of another slot is nobody's, and both slots have escaped.
func (s *slotSet) findRoots(f *Func) {
	s.root = make([]int, f.values)
	for i := range s.root {
		s.root[i] = -1
	}
	for v, n := range s.index {
		s.root[v.ID] = n
	}
	order := reversePostorder(f)
	for changed := true; changed; {
		changed = false
		for _, b := range order {
			for _, v := range b.Values {
				if v.Type != Stack || s.root[v.ID] >= 0 || v.Op != Add && v.Op != Sub && v.Op != Phi {
					continue
				}
				for _, a := range v.Args {
					if n := s.root[a.ID]; n >= 0 {
						s.root[v.ID], changed = n, true
						break
					}
				}
			}
		}
	}
}

// harmless tells whether operand i of v, an address in a slot, is one that accesses tells of.
func (s *slotSet) harmless(v *Value, i int) bool {
	switch {
	case (v.Op == Add || v.Op == Sub) && i == 0 && v.Type == Stack, v.Op == Phi: // an address too
		return s.root[v.ID] == s.root[v.Args[i].ID]
	case v.Op == Call || v.Op == CallFunc || v.Op.isCompare():
		return true
	case v.Op == Copy && i == 1:
		return s.within(v.Args[1], 0, v.Width)
	case v.Op.isMemory() && i == 0:
		return s.within(v.Args[0], v.Imm, v.Width)
	}
	return false
}

// within tells whether an access is inside of its slot, as far as that is known here.
func (s *slotSet) within(p *Value, imm int64, width int) bool {
	slot, off := slotAddress(p)
	return slot == nil || off+imm >= 0 && off+imm+int64(width) <= slot.Imm
}

// accesses calls f with what a value reads and writes of slots that did not escape. A call
// reads all of a slot that it is given any address in, and that it may write too ends
// nothing, but for helpers that are known to fill what they are given. The same goes for an
// access at an offset that is not known.
func (s *slotSet) accesses(v *Value, f func(a access)) {
	at := func(p *Value, imm int64, write bool) {
		n := s.root[p.ID]
		if n < 0 || s.escaped[n] {
			return
		}
		slot, off := slotAddress(p)
		if slot == nil {
			f(access{n, 0, int(s.all[n].Imm), false})
			return
		}
		from := int(off + imm)
		f(access{n, from, from + v.Width, write})
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
			if n := s.root[a.ID]; n >= 0 && !s.escaped[n] {
				f(access{n, 0, int(s.all[n].Imm), false})
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
