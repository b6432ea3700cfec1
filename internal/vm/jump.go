// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/asm"
)

func (m *Machine) jump(f *frame, in *inst) (done bool, err error) {
	switch op := in.op.JumpOp(); op {
	case asm.Exit:
		if in.op.Source() != asm.ImmSource {
			return false, errNoSuch
		}
		_, err := f.get(asm.R0)
		return true, err
	case asm.Call:
		return false, m.call(f, in)
	case asm.Ja:
		f.pc = in.target
	case asm.JCOND:
		// may_goto: the kernel leaves the loop after some millions of turns.
		if m.run.left < m.budget/2 {
			f.pc = in.target
		} else {
			f.pc++
		}
	default:
		taken, err := f.condition(op, in)
		if err != nil {
			return false, err
		}
		if taken {
			f.pc = in.target
		} else {
			f.pc++
		}
	}
	return false, nil
}

func (f *frame) condition(op asm.JumpOp, in *inst) (bool, error) {
	a, err := f.get(in.dst)
	if err != nil {
		return false, err
	}
	b := Number(uint64(in.imm))
	if in.op.Source() == asm.RegSource {
		if b, err = f.get(in.src); err != nil {
			return false, err
		}
	}
	width := 64
	if in.op.Class() == asm.Jump32Class {
		if a.Region != nil || b.Region != nil {
			return false, errors.New("it compares 32 bits of a pointer")
		}
		width = 32
		a.Number, b.Number = uint64(uint32(a.Number)), uint64(uint32(b.Number))
	}
	return holds(op, a.Number, b.Number, width)
}

// holds compares two numbers of so many bits.
func holds(op asm.JumpOp, a, b uint64, width int) (bool, error) {
	sa, sb := signExtend(a, width), signExtend(b, width)
	switch op {
	case asm.JEq:
		return a == b, nil
	case asm.JNE:
		return a != b, nil
	case asm.JGT:
		return a > b, nil
	case asm.JGE:
		return a >= b, nil
	case asm.JLT:
		return a < b, nil
	case asm.JLE:
		return a <= b, nil
	case asm.JSet:
		return a&b != 0, nil
	case asm.JSGT:
		return sa > sb, nil
	case asm.JSGE:
		return sa >= sb, nil
	case asm.JSLT:
		return sa < sb, nil
	case asm.JSLE:
		return sa <= sb, nil
	}
	return false, errNoSuch
}

// call calls a function of the program or a helper; either leaves r1 to r5 undefined.
func (m *Machine) call(f *frame, in *inst) error {
	var result Value
	var err error
	switch {
	case in.op.Class() != asm.JumpClass || in.op.Source() != asm.ImmSource:
		return errNoSuch
	case in.src == asm.PseudoCall:
		result, err = m.invoke(f.p, in.target, f.regs[1:6])
	case in.src == asm.PseudoKfuncCall:
		return errors.New("it calls a kernel function, of which the machine has none")
	case in.src != asm.R0:
		return errNoSuch
	case HelperNumber(in.imm) == helperTailCall:
		return m.tailCall(f)
	default:
		result, err = m.Helper(HelperNumber(in.imm), f.regs[1:6], f.callback)
	}
	if err != nil {
		return err
	}
	f.clobber()
	f.regs[0] = result
	f.pc++
	return nil
}

func (f *frame) clobber() {
	for r := 1; r <= 5; r++ {
		f.regs[r] = Value{undefined: true}
	}
}

// HelperNumber is the kernel's number of what an instruction calls: the assembler keeps the
// platform in the highest bits.
func HelperNumber(constant int64) int64 { return constant & 0x0fff_ffff }

// callback runs a function of the program for a helper.
func (f *frame) callback(m *Machine, fn Value, args ...Value) (Value, error) {
	if fn.undefined || fn.Region == nil {
		return Value{}, fmt.Errorf("%s is no function", fn)
	}
	entry, ok := fn.Region.Of.(int)
	if !ok {
		return Value{}, fmt.Errorf("%s is no function of this program", fn)
	}
	for len(args) < 5 {
		args = append(args, Value{undefined: true})
	}
	return m.invoke(f.p, entry, args)
}

// tailCall leaves the program for another, or goes on behind the call.
func (m *Machine) tailCall(f *frame) error {
	context, err := f.get(asm.R1)
	if err != nil {
		return err
	}
	target, err := m.TailCallTarget(f.regs[2], f.regs[3])
	if err != nil {
		return err
	}
	f.clobber()
	f.regs[0] = Value{undefined: true}
	if target == nil {
		// The kernel leaves r0 as it was; the verifier takes it for unknown.
		f.pc++
		return nil
	}
	for r := 6; r <= 9; r++ {
		f.regs[r] = Value{undefined: true}
	}
	f.regs[1] = context
	f.enter(m, target, 0)
	return nil
}

// TailCallTarget is the program at an index of a program array, counted against the limit
// of the run: nil if there is none or the limit is reached.
func (m *Machine) TailCallTarget(programs, index Value) (*Program, error) {
	found, err := mapOf(programs)
	if err != nil {
		return nil, err
	}
	array, ok := found.store.(*programArray)
	switch {
	case !ok:
		return nil, fmt.Errorf("map %q holds no programs", found.spec.Name)
	case index.undefined || index.Region != nil:
		return nil, errors.New("the index of a tail call is no number")
	}
	i := uint64(uint32(index.Number))
	if i >= uint64(len(array.programs)) || array.programs[i] == nil || m.run.tailCalls >= maxTailCalls {
		return nil, nil
	}
	m.run.tailCalls++
	return array.programs[i], nil
}

// TailCall runs a target in place of the caller.
func (m *Machine) TailCall(target *Program, context Value) (Value, error) {
	return m.invoke(target, 0, []Value{context})
}
