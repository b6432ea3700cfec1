// SPDX-License-Identifier: Apache-2.0

// Package evaluate runs programs of the intermediate representation directly.
//
// Problem: a compiler that is wrong is wrong silently, and its tests share its author's
// misunderstandings.
//
// Mechanism: [Run] walks the blocks and computes every value as the comments of package
// compile define it: nothing is simplified, no registers are given, no instruction is
// chosen. Arithmetic is written here once more; memory, maps and helpers are those of a
// [vm.Machine], so that what a program leaves there can be compared with what its compiled
// form left in another.
//
// Invariant: it is stricter than a kernel. What no operation defined (bytes of a slot, a
// pointer behind the end of its region, a NonNull of 0) is a fault and never a value.
package evaluate

import (
	"fmt"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/vm"
)

// Fault is an operation that has no defined result.
type Fault struct {
	Func  string
	Value string // as text
	Pos   compile.Pos
	Cause error
}

func (f *Fault) Error() string {
	return fmt.Sprintf("evaluate %s: %q at %d:%d: %v", f.Func, f.Value, f.Pos.Line, f.Pos.Column, f.Cause)
}

func (f *Fault) Unwrap() error { return f.Cause }

// Run runs the entry of a program, which must have passed Check, with the maps and helpers
// of a machine. It returns what the entry returns, 0 if that is nothing; the error is a
// *Fault.
func Run(p *compile.Program, m *vm.Machine, context []byte) (uint64, error) {
	return begin(p, m, m.Begin(context))
}

// RunPacket is Run with the context of a packet.
func RunPacket(p *compile.Program, m *vm.Machine, kind vm.PacketKind, packet []byte) (uint64, error) {
	return begin(p, m, m.BeginPacket(kind, packet))
}

func begin(p *compile.Program, m *vm.Machine, context vm.Value) (uint64, error) {
	e := &evaluator{m: m, funcs: map[string]*compile.Func{}, references: map[string]vm.Value{}}
	for _, f := range p.Funcs {
		e.funcs[f.Name] = f
	}
	v, err := e.call(p.Funcs[0], []vm.Value{context})
	return v.Number, err
}

type evaluator struct {
	m          *vm.Machine
	funcs      map[string]*compile.Func
	references map[string]vm.Value // to functions
}

// frame is one call of a function.
type frame struct {
	*evaluator
	f      *compile.Func
	args   []vm.Value
	values map[*compile.Value]vm.Value
	slots  map[*compile.Value]*vm.Region
}

// call runs a function until it returns.
func (e *evaluator) call(f *compile.Func, args []vm.Value) (vm.Value, error) {
	fr := &frame{e, f, args, map[*compile.Value]vm.Value{}, map[*compile.Value]*vm.Region{}}
	defer func() {
		for _, slot := range fr.slots {
			slot.Kill("its function has returned")
		}
	}()
	block := f.Blocks[0]
	for {
		if left, err := fr.block(block); err != nil || left != nil {
			return value(left), err
		}
		if err := e.m.Spend(1); err != nil {
			return vm.Value{}, &Fault{Func: f.Name, Value: fmt.Sprintf("exit of block %d", block.ID), Pos: block.Pos, Cause: err}
		}
		if block.Exit == compile.Return {
			return fr.result(block), nil
		}
		to, edge := fr.successor(block)
		fr.phis(to, edge)
		block = to
	}
}

func value(v *vm.Value) vm.Value {
	if v == nil {
		return vm.Value{}
	}
	return *v
}

func (fr *frame) result(block *compile.Block) vm.Value {
	if fr.f.Result == compile.Void || block.Control == nil {
		return vm.Number(0)
	}
	return fr.values[block.Control]
}

// successor is where a block leads, and by which of the ways into that.
func (fr *frame) successor(block *compile.Block) (to *compile.Block, edge int) {
	taken := 0
	if block.Exit == compile.Branch && fr.values[block.Control].Number == 0 {
		taken = 1
	}
	to = block.Succs[taken]
	// A branch whose ways both lead to one block comes in twice, in the order of the ways.
	skip := taken == 1 && block.Succs[0] == to
	for i, pred := range to.Preds {
		if pred == block {
			if !skip {
				return to, i
			}
			skip = false
		}
	}
	return to, -1
}

// phis take their operands of one edge, all at once.
func (fr *frame) phis(block *compile.Block, edge int) {
	taken := map[*compile.Value]vm.Value{}
	for _, v := range block.Values {
		if v.Op != compile.Phi {
			break
		}
		taken[v] = fr.values[v.Args[edge]]
	}
	for phi, v := range taken {
		fr.values[phi] = v
	}
}

// block computes the values of a block. What a tail call brought back ends the function.
func (fr *frame) block(block *compile.Block) (left *vm.Value, err error) {
	for _, v := range block.Values {
		if v.Op == compile.Phi {
			continue
		}
		result, left, err := fr.step(v)
		if err != nil {
			if inner, ok := err.(*Fault); ok {
				return nil, inner
			}
			return nil, &Fault{fr.f.Name, v.String(), v.Pos, err}
		}
		if left != nil {
			return left, nil
		}
		fr.values[v] = result
	}
	return nil, nil
}

func (fr *frame) step(v *compile.Value) (result vm.Value, left *vm.Value, err error) {
	if err := fr.m.Spend(1); err != nil {
		return vm.Value{}, nil, err
	}
	args := make([]vm.Value, len(v.Args))
	for i, a := range v.Args {
		args[i] = fr.values[a]
	}
	if v.Op == compile.TailCall {
		left, err := fr.tailCall(args)
		return vm.Value{}, left, err
	}
	result, err = fr.compute(v, args)
	return result, nil, err
}

func (fr *frame) tailCall(args []vm.Value) (*vm.Value, error) {
	target, err := fr.m.TailCallTarget(args[1], args[2])
	if err != nil || target == nil {
		return nil, err
	}
	v, err := fr.m.TailCall(target, args[0])
	return &v, err
}
