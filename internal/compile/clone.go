// SPDX-License-Identifier: Apache-2.0

package compile

// clone copies a function, so that passes may change it. What nothing leads to is left out,
// and parameters come first: calls overwrite the registers that they are passed in.
func (f *Func) clone() *Func {
	order := reversePostorder(f)
	out := &Func{Name: f.Name, Params: f.Params, Result: f.Result, values: f.values}
	blocks := make(map[*Block]*Block, len(order))
	for _, b := range order {
		nb := &Block{ID: b.ID, Exit: b.Exit, Unlikely: b.Unlikely, Pos: b.Pos, sealed: true}
		blocks[b] = nb
		out.Blocks = append(out.Blocks, nb)
	}
	values := make([]*Value, f.values)
	for _, b := range order {
		for _, v := range b.Values {
			nv := *v
			nv.Block = blocks[b]
			values[v.ID] = &nv
			blocks[b].Values = append(blocks[b].Values, &nv)
		}
	}
	for _, b := range order {
		nb := blocks[b]
		if b.Control != nil {
			nb.Control = values[b.Control.ID]
		}
		for _, s := range b.Succs {
			nb.Succs = append(nb.Succs, blocks[s])
		}
		cloneArgs(b, nb, blocks, values)
	}
	entry := out.Blocks[0]
	var first, rest []*Value
	for _, v := range entry.Values {
		if v.Op == Parameter {
			first = append(first, v)
		} else {
			rest = append(rest, v)
		}
	}
	entry.Values = append(first, rest...)
	return out
}

func cloneArgs(b, nb *Block, blocks map[*Block]*Block, values []*Value) {
	var live []int // predecessors that are left
	for i, p := range b.Preds {
		if blocks[p] != nil {
			live = append(live, i)
			nb.Preds = append(nb.Preds, blocks[p])
		}
	}
	for i, v := range nb.Values {
		args := b.Values[i].Args
		v.Args = nil
		if v.Op == Phi {
			for _, n := range live {
				v.Args = append(v.Args, values[args[n].ID])
			}
			continue
		}
		for _, a := range args {
			v.Args = append(v.Args, values[a.ID])
		}
	}
}
