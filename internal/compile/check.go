// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"errors"
	"fmt"
)

// Check proves that a program has the shape that the other parts rely on: every block has
// an exit, every definition dominates its uses, phis have an operand for each predecessor,
// operands have the types that their operation takes, maps and functions exist and nothing
// recurses. What it finds is a fault of the front end, never of the user's text. It
// returns the first error of each function.
func (p *Program) Check() error {
	if len(p.Funcs) == 0 {
		return errors.New("check program: it has no function")
	}
	var errs []error
	names := make(map[string]*Func, len(p.Funcs))
	for _, f := range p.Funcs {
		if names[f.Name] != nil {
			errs = append(errs, fmt.Errorf("check function %s: there are two of this name", f.Name))
		}
		names[f.Name] = f
	}
	for _, f := range p.Funcs {
		c := checker{program: p, f: f, funcs: names}
		if err := c.check(); err != nil {
			errs = append(errs, fmt.Errorf("check function %s: %w", f.Name, err))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, checkCalls(p, names))
	}
	return errors.Join(errs...)
}

type checker struct {
	program *Program
	f       *Func
	funcs   map[string]*Func
	where   map[*Value]int // index in its block
	tree    *domTree
}

func (c *checker) check() error {
	if len(c.f.Blocks) == 0 {
		return errors.New("it has no block")
	}
	if len(c.f.Params) > 5 {
		return fmt.Errorf("it has %d parameters, and at most 5 are passed", len(c.f.Params))
	}
	if c.f.Result != Word && c.f.Result != Void {
		return fmt.Errorf("it returns %s, not a word", c.f.Result)
	}
	if n := len(c.f.Blocks[0].Preds); n > 0 {
		return fmt.Errorf("its entry has %d predecessors", n)
	}
	for _, step := range []func() error{c.blocks, c.edges, c.values, c.uses} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// blocks proves that every block is finished and its exit has the successors it needs.
func (c *checker) blocks() error {
	ids := map[int]bool{}
	for _, b := range c.f.Blocks {
		want, control := 0, false
		switch b.Exit {
		case Jump:
			want = 1
		case Branch:
			want, control = 2, true
		case Return:
			control = c.f.Result == Word
		default:
			return fmt.Errorf("block %d has no exit", b.ID)
		}
		switch {
		case ids[b.ID]:
			return fmt.Errorf("two blocks have the ID %d", b.ID)
		case !b.sealed:
			return fmt.Errorf("block %d was not sealed", b.ID)
		case len(b.Succs) != want:
			return fmt.Errorf("block %d ends with %s and has %d successors", b.ID, b.exitText(), len(b.Succs))
		case control && b.Control == nil:
			return fmt.Errorf("block %d ends with %s, which needs a value", b.ID, b.exitText())
		case !control && b.Control != nil && b.Exit != Return:
			return fmt.Errorf("block %d ends with %s, which takes no value", b.ID, b.exitText())
		}
		ids[b.ID] = true
	}
	return nil
}

// edges proves that successors and predecessors say the same.
func (c *checker) edges() error {
	balance := map[[2]*Block]int{}
	for _, b := range c.f.Blocks {
		for _, s := range b.Succs {
			balance[[2]*Block{b, s}]++
		}
		for _, p := range b.Preds {
			balance[[2]*Block{p, b}]--
		}
	}
	for _, b := range c.f.Blocks {
		for _, s := range append(append([]*Block{}, b.Succs...), b.Preds...) {
			if balance[[2]*Block{b, s}] != 0 || balance[[2]*Block{s, b}] != 0 {
				return fmt.Errorf("blocks %d and %d do not agree on the edges between them", b.ID, s.ID)
			}
		}
	}
	return nil
}

// values proves that every value is in one place, phis come first, and types fit.
func (c *checker) values() error {
	c.where = map[*Value]int{}
	ids := map[int]bool{}
	for _, b := range c.f.Blocks {
		for i, v := range b.Values {
			_, twice := c.where[v]
			switch {
			case twice || ids[v.ID]:
				return c.fault(v, "is there twice")
			case v.Block != b:
				return c.fault(v, "is in block %d and says it is in another", b.ID)
			case v.ID < 0 || v.ID >= c.f.values:
				return c.fault(v, "has an ID that was not given")
			case v.Op == Phi && i > 0 && b.Values[i-1].Op != Phi:
				return c.fault(v, "comes behind a value that is no phi")
			}
			c.where[v], ids[v.ID] = i, true
		}
	}
	for _, b := range c.f.Blocks {
		for _, v := range b.Values {
			if err := c.value(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// uses proves that definitions dominate uses. In blocks that nothing leads to, anything
// goes: they are dropped.
func (c *checker) uses() error {
	c.tree = dominators(c.f)
	for _, b := range c.tree.order {
		for i, v := range b.Values {
			for n, a := range v.Args {
				if v.Op == Phi {
					if p := b.Preds[n]; c.tree.reachable(p) && !c.reaches(a, p, len(p.Values)) {
						return c.fault(v, "takes %s from block %d, where it is not defined", a.name(), p.ID)
					}
				} else if !c.reaches(a, b, i) {
					return c.fault(v, "uses %s, which is not defined on every way to it", a.name())
				}
			}
			if v.Op == NonNull && !c.compared(v.Args[0], b) {
				return c.fault(v, "says that %s is not 0, and not every way to it compares that with 0", v.Args[0].name())
			}
		}
		if b.Control != nil && !c.reaches(b.Control, b, len(b.Values)) {
			return fmt.Errorf("block %d: %s: the value is not defined on every way to it", b.ID, b.exitText())
		}
		if b.Control != nil && b.Control.Type != Word && !b.Control.Type.IsPointer() {
			return fmt.Errorf("block %d: %s: the value is of type %s", b.ID, b.exitText(), b.Control.Type)
		}
	}
	return nil
}

// reaches tells whether a value is defined before place i of block b.
func (c *checker) reaches(v *Value, b *Block, i int) bool {
	at, known := c.where[v]
	switch {
	case !known:
		return false
	case v.Block == b:
		return at < i
	}
	return c.tree.dominates(v.Block, b)
}

func (c *checker) fault(v *Value, format string, args ...any) error {
	return fmt.Errorf("block %d: %s: it "+format, append([]any{v.Block.ID, v}, args...)...)
}

// compared tells whether every way to a block comes from a branch on which p is not 0.
func (c *checker) compared(p *Value, b *Block) bool {
	for ; b != nil; b = c.tree.idom[b] {
		if len(b.Preds) != 1 || b.Preds[0].Exit != Branch {
			continue
		}
		from := b.Preds[0]
		test := from.Control
		if !test.Op.isCompare() || test.Args[0] != p || test.Args[1].Op != Const || test.Args[1].Imm != 0 {
			continue
		}
		if test.Op == NotEqual && from.Succs[0] == b || test.Op == Equal && from.Succs[1] == b {
			return true
		}
	}
	return false
}
