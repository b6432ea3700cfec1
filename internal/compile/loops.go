// SPDX-License-Identifier: Apache-2.0

package compile

// loops tells for each block the headers of the loops around it. A loop is the blocks from
// which one can get to an edge that goes back to its header, which dominates them.
func loops(t *domTree) map[*Block][]*Block {
	around := map[*Block][]*Block{}
	for _, header := range t.order {
		inside := map[*Block]bool{header: true}
		var work []*Block
		for _, p := range header.Preds {
			if t.dominates(header, p) && !inside[p] {
				inside[p] = true
				work = append(work, p)
			}
		}
		back := len(work) > 0 || times(header.Preds, header) > 0
		for len(work) > 0 {
			b := work[len(work)-1]
			work = work[:len(work)-1]
			for _, p := range b.Preds {
				if !inside[p] && t.reachable(p) {
					inside[p] = true
					work = append(work, p)
				}
			}
		}
		if back {
			for b := range inside {
				around[b] = append(around[b], header)
			}
		}
	}
	return around
}
