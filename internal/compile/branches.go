// SPDX-License-Identifier: Apache-2.0

package compile

import "slices"

// simplifyBranches makes jumps of branches that are decided, sends blocks past others
// whose branch is decided by where they come from, and joins blocks that follow each other.
// Unreachable blocks are gone when it returns.
func simplifyBranches(f *Func) bool {
	changed := false
	for _, b := range f.Blocks {
		changed = decide(b) || changed
	}
	removeUnreachable(f)
	uses := countUses(f)
	for _, b := range f.Blocks {
		if thread(b, uses) {
			changed, uses = true, countUses(f)
		}
		turn(b, uses)
	}
	removeUnreachable(f)
	for _, b := range f.Blocks {
		changed = join(b) || changed
	}
	removeUnreachable(f)
	return changed
}

// decide makes a jump of a branch on a constant, or of one whose ways are the same.
func decide(b *Block) bool {
	if b.Exit != Branch {
		return false
	}
	taken, other := b.Succs[0], b.Succs[1]
	switch {
	case b.Control.Op == Const:
		if b.Control.Imm == 0 {
			taken, other = other, taken
		}
	case taken == other && (len(taken.Values) == 0 || taken.Values[0].Op != Phi):
	default:
		return false
	}
	// Of two edges to one block the second is the last in its list.
	n := slices.Index(other.Preds, b)
	if taken == other && b.Control.Op == Const && b.Control.Imm != 0 {
		n = lastIndex(other.Preds, b)
	}
	removePred(other, n)
	b.Exit, b.Control, b.Succs = Jump, nil, []*Block{taken}
	return true
}

func lastIndex(blocks []*Block, b *Block) int {
	for i := len(blocks) - 1; i >= 0; i-- {
		if blocks[i] == b {
			return i
		}
	}
	return -1
}

// turn exchanges the ways of a branch on x & y == 0, so that one instruction tests it.
func turn(b *Block, uses []int) {
	c := b.Control
	if b.Exit != Branch || c.Op != Equal || c.Args[0].Op != And || c.Args[1].Op != Const || c.Args[1].Imm != 0 {
		return
	}
	if uses[c.ID] == 1 && uses[c.Args[0].ID] == 1 && b.Succs[0] != b.Succs[1] {
		c.Op = NotEqual
		b.Succs[0], b.Succs[1] = b.Succs[1], b.Succs[0]
	}
}

// join puts the only block that follows another, and follows no other, into that.
func join(b *Block) bool {
	changed := false
	for b.Exit == Jump && len(b.Succs[0].Preds) == 1 && b.Succs[0] != b {
		s := b.Succs[0]
		if len(s.Values) > 0 && s.Values[0].Op == Phi {
			return changed // of one operand: removePhis takes it out first
		}
		for _, v := range s.Values {
			v.Block = b
		}
		b.Values = append(b.Values, s.Values...)
		b.Exit, b.Control, b.Succs = s.Exit, s.Control, s.Succs
		for _, t := range b.Succs {
			for i, p := range t.Preds {
				if p == s {
					t.Preds[i] = b
				}
			}
		}
		s.Values, s.Succs, s.Preds, s.Exit = nil, nil, nil, None
		changed = true
	}
	return changed
}
