// SPDX-License-Identifier: Apache-2.0

package compile

// thread sends each block that comes to b with a constant for what b decides by past b: so
// the parts of "x && y" jump to where the whole of it would, and no 0 or 1 is made. b may
// only consist of phis, a comparison of one with a constant, and the branch on that, and
// its phis may only be used by itself and by phis of its successors, which then get what b
// would have handed on.
func thread(b *Block, uses []int) bool {
	phi, decideFor := decider(b, uses)
	if phi == nil || !private(b, uses) {
		return false
	}
	changed := false
	for i := len(b.Preds) - 1; i >= 0; i-- {
		a, p := phi.Args[i], b.Preds[i]
		if a.Op != Const || p == b {
			continue
		}
		to := b.Succs[1]
		if decideFor(a.Imm) != 0 {
			to = b.Succs[0]
		}
		if to == b || b.Succs[0] == b.Succs[1] || times(p.Succs, b) != 1 {
			continue
		}
		redirect(p, b, to, i)
		changed = true
	}
	return changed
}

// decider is the phi that a block branches on, and what the branch does with it.
func decider(b *Block, uses []int) (*Value, func(int64) int64) {
	if b.Exit != Branch {
		return nil, nil
	}
	c := b.Control
	if c.Op == Phi && c.Block == b {
		return c, func(n int64) int64 { return n }
	}
	if c.Op.isCompare() && c.Block == b && uses[c.ID] == 1 && c.Args[0].Op == Phi && c.Args[0].Block == b && c.Args[1].Op == Const {
		return c.Args[0], func(n int64) int64 { return foldCompare(c.Op, n, c.Args[1].Imm) }
	}
	return nil, nil
}

// private tells whether a block has nothing but phis, constants, and the comparison that it
// branches on, and its phis are used as thread needs.
func private(b *Block, uses []int) bool {
	inside := map[*Value]int{}
	for _, v := range b.Values {
		switch {
		case v.Op == Phi, v == b.Control:
		case v.Op == Const && constantStays(b, v, uses):
		default:
			return false
		}
		if v.Op != Phi {
			for _, a := range v.Args {
				inside[a]++
			}
		}
	}
	inside[b.Control]++
	for _, s := range b.Succs {
		if s == b {
			return false
		}
		for i, p := range s.Preds {
			for _, v := range s.Values {
				if v.Op == Phi && p == b {
					inside[v.Args[i]]++
				}
			}
		}
	}
	for _, v := range b.Values {
		if v.Op == Phi && inside[v] != uses[v.ID] {
			return false
		}
	}
	return true
}

// constantStays tells whether a constant is for the comparison alone.
func constantStays(b *Block, v *Value, uses []int) bool {
	c := b.Control
	return uses[v.ID] == 1 && c.Op.isCompare() && c.Args[1] == v
}

func times(blocks []*Block, b *Block) int {
	n := 0
	for _, x := range blocks {
		if x == b {
			n++
		}
	}
	return n
}

// redirect lets p, the i-th way into b, go to a successor of b instead.
func redirect(p, b, to *Block, i int) {
	through := 0
	for to.Preds[through] != b {
		through++
	}
	for _, v := range to.Values {
		if v.Op != Phi {
			break
		}
		a := v.Args[through]
		if a.Op == Phi && a.Block == b {
			a = a.Args[i]
		}
		v.Args = append(v.Args, a)
	}
	to.Preds = append(to.Preds, p)
	for k, s := range p.Succs {
		if s == b {
			p.Succs[k] = to
		}
	}
	removePred(b, i)
}
