// SPDX-License-Identifier: Apache-2.0

package compile

// liveness finds the virtual registers that are live into and out of each block: the usual
// backward data flow, over blocks from the last to the first until nothing changes. What a
// phi takes from a predecessor is live out of that, and the phi itself is not live in.
func liveness(m *mfunc) {
	defined := make([]bitset, len(m.blocks))
	for i, b := range m.blocks {
		b.liveIn, b.liveOut = newBitset(m.vregs), newBitset(m.vregs)
		defined[i] = newBitset(m.vregs)
		for _, p := range b.phis {
			defined[i].add(int(p.dst))
		}
		for n := range b.insts {
			in := &b.insts[n]
			in.reads(func(r vreg) {
				if !defined[i].has(int(r)) {
					b.liveIn.add(int(r))
				}
			})
			if in.dst != noReg {
				defined[i].add(int(in.dst))
			}
		}
	}
	for _, b := range m.blocks {
		for _, p := range b.phis {
			for i, a := range p.args {
				if a.is(virtual) {
					b.preds[i].liveOut.add(int(a.reg))
				}
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := len(m.blocks) - 1; i >= 0; i-- {
			b := m.blocks[i]
			for _, s := range b.succs {
				b.liveOut.union(s.liveIn)
			}
			for w, word := range b.liveOut {
				if add := word &^ defined[i][w] &^ b.liveIn[w]; add != 0 {
					b.liveIn[w] |= add
					changed = true
				}
			}
		}
	}
}

// reads calls f with each virtual register that an instruction reads.
func (in *inst) reads(f func(r vreg)) {
	if in.kind.modifies() {
		f(in.dst)
	}
	if in.base.is(virtual) {
		f(in.base.reg)
	}
	if in.src.is(virtual) {
		f(in.src.reg)
	}
	for _, a := range in.args {
		if a.is(virtual) {
			f(a.reg)
		}
	}
}
