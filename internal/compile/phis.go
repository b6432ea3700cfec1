// SPDX-License-Identifier: Apache-2.0

package compile

// removePhis replaces phis that only ever are one other value, or themselves, by that
// value, until none is left: the trivial phis of Braun et al. (see Builder).
func removePhis(f *Func) bool {
	by := map[*Value]*Value{}
	find := func(v *Value) *Value {
		for by[v] != nil {
			v = by[v]
		}
		return v
	}
	any := false
	for changed := true; changed; {
		changed = false
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Op != Phi || by[v] != nil {
					continue
				}
				if only := onlyOperand(v, find); only != nil {
					by[v] = only
					changed, any = true, true
				}
			}
		}
	}
	if any {
		substitute(f, by, find)
	}
	return any
}

// onlyOperand is the one value that a phi is besides itself, or nil. Constants of the same
// number are one value if the first dominates the phi's block, which one in the entry does.
func onlyOperand(v *Value, find func(*Value) *Value) *Value {
	var only *Value
	for _, a := range v.Args {
		a = find(a)
		if a == v || a == only {
			continue
		}
		if only != nil {
			return nil
		}
		only = a
	}
	return only
}

// substitute drops replaced values and lets what used them use what replaces them.
func substitute(f *Func, by map[*Value]*Value, find func(*Value) *Value) {
	for _, b := range f.Blocks {
		kept := b.Values[:0]
		for _, v := range b.Values {
			if by[v] != nil {
				continue
			}
			for i, a := range v.Args {
				v.Args[i] = find(a)
			}
			kept = append(kept, v)
		}
		b.Values = kept
		if b.Control != nil {
			b.Control = find(b.Control)
		}
	}
}
