// SPDX-License-Identifier: Apache-2.0

package compile

// removeDead drops values that nothing needs: what has an effect, and what decides where to
// go, is needed, and then what that uses.
func removeDead(f *Func) bool {
	needed := make([]bool, f.values)
	var work []*Value
	need := func(v *Value) {
		if v != nil && !needed[v.ID] {
			needed[v.ID] = true
			work = append(work, v)
		}
	}
	for _, b := range f.Blocks {
		need(b.Control)
		for _, v := range b.Values {
			if !v.Op.isDroppable() && !(v.Op == Call && constantHelpers[v.Imm]) {
				need(v)
			}
		}
	}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		for _, a := range v.Args {
			need(a)
		}
	}
	changed := false
	for _, b := range f.Blocks {
		kept := b.Values[:0]
		for _, v := range b.Values {
			if needed[v.ID] {
				kept = append(kept, v)
			}
		}
		changed = changed || len(kept) < len(b.Values)
		clear(b.Values[len(kept):])
		b.Values = kept
	}
	return changed
}

// removeUnreachable drops blocks that nothing leads to, and orders the others in reverse
// postorder.
func removeUnreachable(f *Func) {
	order := reversePostorder(f)
	reached := make(map[*Block]bool, len(order))
	for _, b := range order {
		reached[b] = true
	}
	for _, b := range order {
		for i := len(b.Preds) - 1; i >= 0; i-- {
			if !reached[b.Preds[i]] {
				removePred(b, i)
			}
		}
	}
	f.Blocks = order
}

// removePred drops the i-th way into a block, and what its phis take from there.
func removePred(b *Block, i int) {
	b.Preds = append(b.Preds[:i:i], b.Preds[i+1:]...)
	for _, v := range b.Values {
		if v.Op != Phi {
			break
		}
		v.Args = append(v.Args[:i:i], v.Args[i+1:]...)
	}
}
