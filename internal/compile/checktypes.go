// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"math"
)

// arity is how many operands an operation has; -1 where it is not fixed.
func (op Op) arity() int {
	switch op {
	case Const, Parameter, Slot, MapOf, ValueOf, FuncOf:
		return 0
	case NonNull, Load, LoadPtr, Zero:
		return 1
	case Store, Copy, AtomicAdd:
		return 2
	case TailCall:
		return 3
	}
	switch {
	case op.isBinary(), op.isCompare():
		return 2
	case op.isUnary():
		return 1
	}
	return -1
}

// value proves that one value has what its operation needs.
func (c *checker) value(v *Value) error {
	for _, a := range v.Args {
		if a == nil {
			return c.fault(v, "has no value for an operand")
		}
		if a.Type == Void {
			return c.fault(v, "uses %s, which has no result", a.name())
		}
	}
	if n := v.Op.arity(); n >= 0 && n != len(v.Args) {
		return c.fault(v, "has %d operands and takes %d", len(v.Args), n)
	}
	switch {
	case v.Op == Const:
		// The builder gives unreachable reads a constant of any type.
		if v.Type != Word && (v.Imm != 0 || v.Type == Void) {
			return c.fault(v, "makes a %s of a constant", v.Type)
		}
		return nil
	case v.Op == Phi:
		return c.phi(v)
	case v.Op.isBinary():
		return c.arithmetic(v)
	case v.Op.isCompare():
		return c.comparison(v)
	case v.Op.isUnary():
		return c.unary(v)
	case v.Op.isMemory():
		return c.memory(v)
	case v.Op == Call, v.Op == CallFunc, v.Op == TailCall:
		return c.call(v)
	}
	return c.leaf(v)
}

func (c *checker) phi(v *Value) error {
	if len(v.Args) != len(v.Block.Preds) {
		return c.fault(v, "has %d operands for %d predecessors", len(v.Args), len(v.Block.Preds))
	}
	if v.Type == Void {
		return c.fault(v, "has no type")
	}
	for _, a := range v.Args {
		zero := a.Op == Const && a.Imm == 0
		if a.Type != v.Type && a.Type != v.Type.nonNull() && !zero {
			return c.fault(v, "is of type %s and takes %s of type %s", v.Type, a.name(), a.Type)
		}
	}
	return nil
}

func (c *checker) arithmetic(v *Value) error {
	x, y := v.Args[0].Type, v.Args[1].Type
	want := Word
	switch {
	case x == Word && y == Word:
	case (v.Op == Add || v.Op == Sub) && x.IsPointer() && y == Word:
		want = x
		if x != x.nonNull() {
			return c.fault(v, "computes with %s, which may be 0", v.Args[0].name())
		}
	case v.Op == Sub && x.IsPointer() && x == y:
	default:
		return c.fault(v, "is not for operands of types %s and %s", x, y)
	}
	if v.Type != want {
		return c.fault(v, "gives %s, and says %s", want, v.Type)
	}
	return nil
}

func (c *checker) comparison(v *Value) error {
	x, y := v.Args[0], v.Args[1]
	equality := v.Op == Equal || v.Op == NotEqual
	zero := y.Op == Const && y.Imm == 0
	switch {
	case v.Type != Word:
		return c.fault(v, "gives a word, and says %s", v.Type)
	case x.Type == Word && y.Type == Word:
	case equality && x.Type.IsPointer() && (zero || y.Type.nonNull() == x.Type.nonNull()):
	case x.Type == Packet && y.Type == PacketEnd, x.Type == PacketEnd && y.Type == Packet:
	default:
		return c.fault(v, "is not for operands of types %s and %s", x.Type, y.Type)
	}
	return nil
}

func (c *checker) unary(v *Value) error {
	if v.Args[0].Type != Word || v.Type != Word {
		return c.fault(v, "is for words")
	}
	return c.width(v, 1)
}

func (c *checker) width(v *Value, least int) error {
	switch v.Width {
	case 1, 2, 4, 8:
		if v.Width >= least {
			return nil
		}
	}
	return c.fault(v, "has the width %d", v.Width)
}

func (c *checker) memory(v *Value) error {
	p := v.Args[0]
	if !p.Type.IsPointer() || p.Type != p.Type.nonNull() {
		return c.fault(v, "is at %s, which is of type %s", p.name(), p.Type)
	}
	size := int64(v.Width)
	if size < 1 || v.Imm < math.MinInt16 || v.Imm+size > math.MaxInt16 {
		return c.fault(v, "is of %d bytes at %+d, which is no 16-bit offset", size, v.Imm)
	}
	switch v.Op {
	case Load:
		if v.Type != Word {
			return c.fault(v, "gives a word, and says %s", v.Type)
		}
		return c.width(v, 1)
	case LoadPtr:
		packet := v.Width == 4 && p.Type == Context && (v.Type == Packet || v.Type == PacketEnd)
		if v.Type <= Word || v.Width != 8 && !packet {
			return c.fault(v, "gives %s of %d bytes", v.Type, v.Width)
		}
		return nil
	case Store:
		if v.Args[1].Type != Word && v.Width != 8 {
			return c.fault(v, "writes %d bytes of a %s", v.Width, v.Args[1].Type)
		}
		return c.width(v, 1)
	case Copy:
		if t := v.Args[1].Type; !t.IsPointer() || t != t.nonNull() {
			return c.fault(v, "copies from %s, which is of type %s", v.Args[1].name(), t)
		}
	case AtomicAdd:
		if v.Args[1].Type != Word {
			return c.fault(v, "adds a %s", v.Args[1].Type)
		}
		return c.width(v, 4)
	}
	return nil
}

func (c *checker) leaf(v *Value) error {
	want := v.Type
	switch v.Op {
	case Parameter:
		if v.Imm < 0 || v.Imm >= int64(len(c.f.Params)) {
			return c.fault(v, "is parameter %d of %d", v.Imm, len(c.f.Params))
		}
		if v.Block != c.f.Blocks[0] {
			return c.fault(v, "is a parameter outside of the entry")
		}
		want = c.f.Params[v.Imm]
	case NonNull:
		want = v.Args[0].Type.nonNull()
	case Slot:
		want = Stack
		if v.Imm < 1 || v.Imm > math.MaxInt16 {
			return c.fault(v, "has %d bytes", v.Imm)
		}
	case MapOf, ValueOf:
		want = Map
		if _, ok := c.program.Maps[v.Symbol]; !ok {
			return c.fault(v, "is of a map that the program has not")
		}
		if v.Op == ValueOf {
			want = MapValue
			if n := c.program.Maps[v.Symbol].ValueSize; v.Imm < 0 || v.Imm >= int64(n) {
				return c.fault(v, "is outside of the %d bytes of the value", n)
			}
		}
	case FuncOf:
		want = Function
		if c.funcs[v.Symbol] == nil {
			return c.fault(v, "is a function that the program has not")
		}
	default:
		return c.fault(v, "is no operation")
	}
	if v.Type != want {
		return c.fault(v, "gives %s, and says %s", want, v.Type)
	}
	return nil
}

func (c *checker) call(v *Value) error {
	if len(v.Args) > 5 {
		return c.fault(v, "has %d operands, and at most 5 are passed", len(v.Args))
	}
	if v.Op == Call {
		return nil
	}
	if v.Op == TailCall {
		if v.Args[0].Type != Context || v.Args[1].Type != Map || v.Args[2].Type != Word || v.Type != Void {
			return c.fault(v, "takes the context, a map and a word, and gives nothing")
		}
		return nil
	}
	f := c.funcs[v.Symbol]
	if f == nil {
		return c.fault(v, "calls a function that the program has not")
	}
	if f.Name == c.program.Funcs[0].Name {
		return c.fault(v, "calls the entry")
	}
	if v.Type != Word && v.Type != Void {
		return c.fault(v, "gives a word, and says %s", v.Type)
	}
	if len(v.Args) != len(f.Params) {
		return c.fault(v, "has %d operands for %d parameters", len(v.Args), len(f.Params))
	}
	for i, a := range v.Args {
		if a.Type != f.Params[i] {
			return c.fault(v, "has a %s for parameter %d, a %s", a.Type, i, f.Params[i])
		}
	}
	return nil
}

// checkCalls proves that no function reaches itself, by calls or by what it gives to
// helpers to call.
func checkCalls(p *Program, funcs map[string]*Func) error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(f *Func) error
	visit = func(f *Func) error {
		state[f.Name] = visiting
		for _, name := range f.callees() {
			if state[name] == visiting {
				return fmt.Errorf("check function %s: it calls %s, which leads back to it", f.Name, name)
			}
			if state[name] == 0 {
				if err := visit(funcs[name]); err != nil {
					return err
				}
			}
		}
		state[f.Name] = done
		return nil
	}
	for _, f := range p.Funcs {
		if state[f.Name] == 0 {
			if err := visit(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// callees are the functions that a function names, in order of their first use.
func (f *Func) callees() []string {
	var names []string
	seen := map[string]bool{}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if (v.Op == CallFunc || v.Op == FuncOf) && !seen[v.Symbol] {
				seen[v.Symbol] = true
				names = append(names, v.Symbol)
			}
		}
	}
	return names
}
