// SPDX-License-Identifier: Apache-2.0

package compile

// removeDeadStores drops stores to slots that nothing reads before they are overwritten or
// the function returns, and makes Zero clear only what is read: of a key that is cleared
// and then filled, only the padding.
//
// It is a backward data flow over sets of bytes. A Slot begins with nothing defined, so
// what is before it is not read there.
func removeDeadStores(f *Func) bool {
	s := slotsOf(f)
	if len(s.all) == 0 {
		return false
	}
	d := &deadStores{s: s, f: f, in: map[*Block]bitset{}}
	order := reversePostorder(f)
	for _, b := range order {
		d.in[b] = newBitset(s.bytes)
	}
	for changed := true; changed; {
		changed = false
		for i := len(order) - 1; i >= 0; i-- {
			b := order[i]
			live := d.out(b)
			for n := len(b.Values) - 1; n >= 0; n-- {
				d.before(b.Values[n], live)
			}
			changed = d.in[b].union(live) || changed
		}
	}
	for _, b := range order {
		d.rewrite(b)
	}
	return d.changed
}

type deadStores struct {
	s       *slotSet
	f       *Func
	in      map[*Block]bitset // bytes that are read later, by block
	changed bool
}

func (d *deadStores) out(b *Block) bitset {
	live := newBitset(d.s.bytes)
	for _, succ := range b.Succs {
		live.union(d.in[succ])
	}
	return live
}

// before turns what is read later behind a value into what is read later before it.
func (d *deadStores) before(v *Value, live bitset) {
	if v.Op == Slot {
		n := d.s.index[v]
		d.s.fill(live, access{n, 0, int(v.Imm), true})
		return
	}
	d.s.accesses(v, func(a access) {
		if a.write {
			d.s.fill(live, a)
		}
	})
	d.s.accesses(v, func(a access) {
		if !a.write {
			d.s.fill(live, a)
		}
	})
}

// fill removes what is written from a set of bytes and adds what is read.
func (s *slotSet) fill(live bitset, a access) {
	for i := s.base[a.slot] + a.from; i < s.base[a.slot]+a.to; i++ {
		if a.write {
			live.remove(i)
		} else {
			live.add(i)
		}
	}
}

func (d *deadStores) rewrite(b *Block) {
	live := d.out(b)
	var out []*Value // last first
	for n := len(b.Values) - 1; n >= 0; n-- {
		v := b.Values[n]
		kept := d.reduced(v, live)
		d.before(v, live)
		for i := len(kept) - 1; i >= 0; i-- {
			out = append(out, kept[i])
		}
	}
	reverse(out)
	b.Values = out
}

// reduced is what is left of a value: itself, nothing, or a few shorter clearings.
func (d *deadStores) reduced(v *Value, live bitset) []*Value {
	if v.Op != Store && v.Op != Zero && v.Op != Copy {
		return []*Value{v}
	}
	slot, off := slotAddress(v.Args[0])
	if slot == nil || d.s.escaped[d.s.index[slot]] {
		return []*Value{v}
	}
	start := int(off + v.Imm)
	read := make([]bool, v.Width)
	count := 0
	for i := range read {
		if live.has(d.s.base[d.s.index[slot]] + start + i) {
			read[i] = true
			count++
		}
	}
	switch {
	case count == 0:
		d.changed = true
		return nil
	case count == v.Width || v.Op != Zero:
		return []*Value{v}
	}
	return d.shorter(v, slot, start, read)
}

// shorter clears, word by word, what is read.
func (d *deadStores) shorter(v, slot *Value, start int, read []bool) []*Value {
	var out []*Value
	total := 0
	for i := 0; i < len(read); {
		end := min(len(read), i+8-(start+i)%8)
		first, last := -1, 0
		for k := i; k < end; k++ {
			if read[k] {
				if first < 0 {
					first = k
				}
				last = k + 1
			}
		}
		if first >= 0 {
			from, to := widen(start+first, start+last, start+i, start+end)
			z := *v
			z.ID, z.Args, z.Imm, z.Width = d.f.values, []*Value{slot}, int64(from), to-from
			d.f.values++
			out = append(out, &z)
			total += to - from
		}
		i = end
	}
	if total == v.Width {
		return []*Value{v}
	}
	d.changed = true
	return out
}

// widen makes from..to one aligned access if there is one within the bounds, all of which
// may be written.
func widen(from, to, low, high int) (int, int) {
	for width := 1; width <= 8; width *= 2 {
		start := from &^ (width - 1)
		if start >= low && start+width >= to && start+width <= high {
			return start, start + width
		}
	}
	return from, to
}
