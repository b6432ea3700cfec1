// SPDX-License-Identifier: Apache-2.0

package compile

// numbering walks the dominator tree and, in each block, simplifies values and replaces
// those that one before is equal to: dominator-based value numbering, as in Briggs, Cooper
// and Simpson, "Value Numbering" (Software: Practice and Experience 27, 1997). Where a
// block can only be reached by one way out of a branch, the comparison is known there.
//
// Invariants: only pure values, and what cannot change while a program runs (see stable),
// are shared. A replacement dominates what it replaces.
type numbering struct {
	f     *Func
	tree  *domTree
	table map[valueKey]*Value
	undo  []valueKey // of what to take out of the table again
	facts map[*Value]*Value
	by    map[*Value]*Value // replacements
	// contextChanges tells that the function may write to its context.
	contextChanges bool
	changed        bool
}

// valueKey is equal for equal values.
type valueKey struct {
	op     Op
	t      Type
	a, b   *Value
	imm    int64
	width  int
	signed bool
	symbol string
}

func number(f *Func) bool {
	n := &numbering{
		f: f, tree: dominators(f), table: map[valueKey]*Value{}, facts: map[*Value]*Value{},
		by: map[*Value]*Value{}, contextChanges: changesContext(f),
	}
	n.walk(f.Blocks[0])
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				v.Args[i] = n.find(a)
			}
		}
		if b.Control != nil {
			b.Control = n.find(b.Control)
		}
	}
	return n.changed
}

// find is what a value was replaced by.
func (n *numbering) find(v *Value) *Value {
	for n.by[v] != nil {
		v = n.by[v]
	}
	return v
}

// operand is what to use in place of a value here.
func (n *numbering) operand(v *Value) *Value {
	v = n.find(v)
	if known := n.facts[v]; known != nil {
		n.changed = true
		return known
	}
	return v
}

func (n *numbering) walk(b *Block) {
	mark := len(n.undo)
	e := &expander{f: n.f, b: b}
	fact := n.learn(b, e)
	for _, v := range b.Values {
		if v.Op == Phi {
			e.out = append(e.out, v)
			continue
		}
		n.value(v, e)
	}
	b.Values = phisFirst(e.out)
	if b.Control != nil {
		b.Control = n.operand(b.Control)
	}
	n.outgoing(b)
	for _, c := range n.tree.children[b] {
		n.walk(c)
	}
	for _, k := range n.undo[mark:] {
		delete(n.table, k)
	}
	n.undo = n.undo[:mark]
	if fact != nil {
		delete(n.facts, fact)
	}
}

// learn notes what the only way into a block says of the comparison that it depends on.
func (n *numbering) learn(b *Block, e *expander) *Value {
	if len(b.Preds) != 1 || b.Preds[0].Exit != Branch {
		return nil
	}
	p := b.Preds[0]
	c := n.find(p.Control)
	if !c.Op.isCompare() || p.Succs[0] == p.Succs[1] || n.facts[c] != nil {
		return nil
	}
	holds := int64(0)
	if p.Succs[0] == b {
		holds = 1
	}
	e.at = c
	n.facts[c] = e.word(holds)
	return c
}

// phisFirst puts what was made at the start of a block behind its phis.
func phisFirst(values []*Value) []*Value {
	out := make([]*Value, 0, len(values))
	for _, v := range values {
		if v.Op == Phi {
			out = append(out, v)
		}
	}
	for _, v := range values {
		if v.Op != Phi {
			out = append(out, v)
		}
	}
	return out
}

// outgoing replaces what the phis of successors take from this block, with what is known
// at its end.
func (n *numbering) outgoing(b *Block) {
	for _, s := range b.Succs {
		for i, p := range s.Preds {
			if p != b {
				continue
			}
			for _, v := range s.Values {
				if v.Op != Phi {
					break
				}
				v.Args[i] = n.operand(v.Args[i])
			}
		}
	}
}

func (n *numbering) value(v *Value, e *expander) {
	for i, a := range v.Args {
		v.Args[i] = n.operand(a)
	}
	e.at = v
	made := len(e.out)
	better := algebra(v, e)
	n.share(e, made)
	if better != v {
		n.replace(v, n.find(better))
		return
	}
	if twin := n.lookup(v); twin != nil {
		n.replace(v, twin)
		return
	}
	e.out = append(e.out, v)
}

// share replaces what algebra made, from a place on, by what is there already.
func (n *numbering) share(e *expander, from int) {
	kept := e.out[:from]
	for _, v := range e.out[from:] {
		if twin := n.lookup(v); twin != nil {
			n.by[v] = twin
			continue
		}
		kept = append(kept, v)
	}
	e.out = kept
	for i, a := range e.at.Args {
		e.at.Args[i] = n.find(a)
	}
}

func (n *numbering) replace(v, by *Value) {
	n.by[v] = by
	n.changed = true
}

// lookup is a value equal to this one that dominates it; otherwise it notes this one.
func (n *numbering) lookup(v *Value) *Value {
	if !v.Op.isPure() && !n.stable(v) {
		return nil
	}
	k := valueKey{op: v.Op, t: v.Type, imm: v.Imm, width: v.Width, signed: v.Signed, symbol: v.Symbol}
	if len(v.Args) > 0 {
		k.a = v.Args[0]
	}
	if len(v.Args) > 1 {
		k.b = v.Args[1]
		if v.Op.isCommutative() && k.a.ID > k.b.ID {
			k.a, k.b = k.b, k.a
		}
	}
	if twin := n.table[k]; twin != nil {
		return twin
	}
	n.table[k] = v
	n.undo = append(n.undo, k)
	return nil
}
