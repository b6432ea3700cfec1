// SPDX-License-Identifier: Apache-2.0

package compile

// sink makes what takes two slots to make, wide constants and addresses in maps, anew in
// each block that uses it, just before its first use there. So none of them takes a
// register from one block to another; within a block it takes one for as long as that is
// free, and is made again, not stored, where it is not.
func sink(f *Func) {
	for _, b := range f.Blocks {
		s := sinker{e: expander{f: f, b: b}, made: map[*Value]*Value{}}
		for _, v := range b.Values {
			if v.Op != Phi {
				s.operands(v)
			}
			s.e.out = append(s.e.out, v)
		}
		s.exit(b)
		b.Values = s.e.out
	}
}

type sinker struct {
	e    expander
	made map[*Value]*Value
}

func sinks(v *Value) bool { return v.Op == ValueOf || v.Op == Const && !fits(v.Imm) }

func (s *sinker) operands(v *Value) {
	s.e.at = v
	for i, a := range v.Args {
		if sinks(a) && !(v.Op == Store && i == 1 && v.Width < 8 && a.Op == Const) {
			v.Args[i] = s.local(a)
		}
	}
}

func (s *sinker) local(v *Value) *Value {
	if s.made[v] == nil {
		s.made[v] = s.e.value(*v)
	}
	return s.made[v]
}

// exit makes what the end of a block and the phis behind it take.
func (s *sinker) exit(b *Block) {
	if b.Control != nil && sinks(b.Control) {
		s.e.at = b.Control
		b.Control = s.local(b.Control)
	}
	for _, succ := range b.Succs {
		for i, p := range succ.Preds {
			for _, v := range succ.Values {
				if v.Op == Phi && p == b && sinks(v.Args[i]) {
					s.e.at = v
					v.Args[i] = s.local(v.Args[i])
				}
			}
		}
	}
}
