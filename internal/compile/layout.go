// SPDX-License-Identifier: Apache-2.0

package compile

// layout is the order of blocks in memory: reverse postorder, and unlikely blocks, with
// what only they lead to, behind the others. A block comes behind what dominates it, as
// register allocation needs.
func layout(f *Func) []*Block {
	tree := dominators(f)
	unlikely := map[*Block]bool{}
	var order, behind []*Block
	for _, b := range tree.order {
		if b.Unlikely || unlikely[tree.idom[b]] {
			unlikely[b] = true
			behind = append(behind, b)
		} else {
			order = append(order, b)
		}
	}
	return append(order, behind...)
}

// splitCriticalEdges puts a block on each edge from a block with several successors to one
// with several predecessors, so that moves of that edge alone have a place.
func splitCriticalEdges(f *Func) {
	next := 0
	for _, b := range f.Blocks {
		next = max(next, b.ID+1)
	}
	for _, b := range f.Blocks[:len(f.Blocks):len(f.Blocks)] {
		if len(b.Succs) < 2 {
			continue
		}
		for i, s := range b.Succs {
			if len(s.Preds) < 2 {
				continue
			}
			mid := &Block{ID: next, Exit: Jump, Succs: []*Block{s}, Preds: []*Block{b}, Unlikely: s.Unlikely, Pos: s.Pos, sealed: true}
			next++
			f.Blocks = append(f.Blocks, mid)
			b.Succs[i] = mid
			for n, p := range s.Preds {
				if p == b {
					s.Preds[n] = mid
					break
				}
			}
		}
	}
}
