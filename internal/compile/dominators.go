// SPDX-License-Identifier: Apache-2.0

package compile

// domTree is the dominator tree of the blocks that the entry reaches.
//
// It is computed as in Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm"
// (2001), and numbered by a walk of the tree, so that dominates takes constant time.
type domTree struct {
	// order is the reachable blocks in reverse postorder: a block comes before those that
	// it dominates, and before its successors but for loops.
	order    []*Block
	children map[*Block][]*Block
	idom     map[*Block]*Block
	in, out  map[*Block]int // of the walk of the tree
}

func dominators(f *Func) *domTree {
	t := &domTree{order: reversePostorder(f)}
	number := make(map[*Block]int, len(t.order))
	for i, b := range t.order {
		number[b] = i
	}
	idom := make([]int, len(t.order))
	for i := range idom {
		idom[i] = -1
	}
	idom[0] = 0
	intersect := func(a, b int) int {
		for a != b {
			for a > b {
				a = idom[a]
			}
			for b > a {
				b = idom[b]
			}
		}
		return a
	}
	for changed := true; changed; {
		changed = false
		for i := 1; i < len(t.order); i++ {
			best := -1
			for _, p := range t.order[i].Preds {
				n, ok := number[p]
				if !ok || idom[n] < 0 {
					continue
				}
				if best < 0 {
					best = n
				} else {
					best = intersect(best, n)
				}
			}
			if best != idom[i] {
				idom[i], changed = best, true
			}
		}
	}
	t.link(idom)
	return t
}

func (t *domTree) link(idom []int) {
	n := len(t.order)
	t.children, t.idom = make(map[*Block][]*Block, n), make(map[*Block]*Block, n)
	for i := 1; i < n; i++ {
		parent := t.order[idom[i]]
		t.idom[t.order[i]] = parent
		t.children[parent] = append(t.children[parent], t.order[i])
	}
	t.in, t.out = make(map[*Block]int, n), make(map[*Block]int, n)
	clock := 0
	var walk func(b *Block)
	walk = func(b *Block) {
		clock++
		t.in[b] = clock
		for _, c := range t.children[b] {
			walk(c)
		}
		clock++
		t.out[b] = clock
	}
	walk(t.order[0])
}

func (t *domTree) reachable(b *Block) bool { return t.in[b] > 0 }

// dominates tells whether every way to b leads through a; a block dominates itself.
func (t *domTree) dominates(a, b *Block) bool {
	return t.in[a] > 0 && t.in[a] <= t.in[b] && t.out[b] <= t.out[a]
}

// reversePostorder is the blocks that the entry reaches. The successor that is taken
// where a branch holds comes directly behind its block where that is possible, but the other
// one where the branch is on bits that are set, as there is no jump on bits that are not.
func reversePostorder(f *Func) []*Block {
	seen := make(map[*Block]bool, len(f.Blocks))
	order := make([]*Block, 0, len(f.Blocks))
	var visit func(b *Block)
	visit = func(b *Block) {
		seen[b] = true
		n := len(b.Succs)
		for i := range n {
			s := b.Succs[n-1-i]
			if b.jumpsIfSet() { // which cannot be turned round
				s = b.Succs[i]
			}
			if !seen[s] {
				visit(s)
			}
		}
		order = append(order, b)
	}
	visit(f.Blocks[0])
	for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// jumpsIfSet tells whether the block will end with a jump on x & y.
func (b *Block) jumpsIfSet() bool {
	if b.Exit != Branch || len(b.Succs) != 2 {
		return false
	}
	c := b.Control
	if c.Op == NotEqual && c.Args[1].Op == Const && c.Args[1].Imm == 0 {
		c = c.Args[0]
	}
	return c.Op == And
}
