// SPDX-License-Identifier: Apache-2.0

package compile

// liveness finds the virtual registers that are live into and out of each block: the usual
// backward data flow, over blocks from the last to the first until nothing changes. What a
// phi takes from a predecessor is live out of that, and the phi itself is not live in.
//
// Most registers live in one block only. The sets are of the others, by their place in
// m.globals, so that a function of many blocks does not take memory by its square.
func liveness(m *mfunc) {
	number := findGlobals(m)
	defined := make([]bitset, len(m.blocks))
	for i, b := range m.blocks {
		b.liveIn, b.liveOut, defined[i] = newBitset(len(m.globals)), newBitset(len(m.globals)), newBitset(len(m.globals))
		for _, p := range b.phis {
			if n := number[p.dst]; n >= 0 {
				defined[i].add(n)
			}
		}
		for k := range b.insts {
			in := &b.insts[k]
			in.reads(func(r vreg) {
				if n := number[r]; n >= 0 && !defined[i].has(n) {
					b.liveIn.add(n)
				}
			})
			if in.dst != noReg && number[in.dst] >= 0 {
				defined[i].add(number[in.dst])
			}
		}
	}
	for _, b := range m.blocks {
		for _, p := range b.phis {
			for i, a := range p.args {
				if a.is(virtual) {
					b.preds[i].liveOut.add(number[a.reg])
				}
			}
		}
	}
	flow(m, defined)
}

// flow takes what is live into a block to what leads to it.
func flow(m *mfunc, defined []bitset) {
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

// findGlobals finds the registers that are read in another block than they are written in,
// and gives each register its place among them, or -1.
func findGlobals(m *mfunc) []int {
	home, number := make([]int, m.vregs), make([]int, m.vregs)
	for r := range number {
		home[r], number[r] = -1, -1
	}
	for i, b := range m.blocks {
		for _, p := range b.phis {
			home[p.dst] = i
		}
		for k := range b.insts {
			if dst := b.insts[k].dst; dst != noReg {
				home[dst] = i
			}
		}
	}
	global := func(r vreg) {
		if number[r] < 0 {
			number[r] = len(m.globals)
			m.globals = append(m.globals, r)
		}
	}
	for i, b := range m.blocks {
		for k := range b.insts {
			b.insts[k].reads(func(r vreg) {
				if home[r] != i {
					global(r)
				}
			})
		}
		for _, p := range b.phis {
			for _, a := range p.args {
				if a.is(virtual) {
					global(a.reg)
				}
			}
		}
	}
	return number
}

// registers calls f with each register of a set of those that are live.
func (m *mfunc) registers(live bitset, f func(r vreg)) {
	live.each(func(n int) { f(m.globals[n]) })
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
