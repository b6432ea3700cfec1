// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// frame is one call of a function.
type frame struct {
	p     *Program
	pc    int
	regs  [11]Value
	stack *Region
}

var (
	errUndefined   = errors.New("it reads a register that was never set")
	errNoSuch      = errors.New("there is no such instruction")
	errFrameWrite  = errors.New("it writes r10, which is read-only")
	errPointerMath = errors.New("arithmetic on a pointer that is neither addition nor subtraction of 64 bits")
)

// invoke runs a function with its own frame until it returns.
func (m *Machine) invoke(p *Program, entry int, args []Value) (Value, error) {
	if m.run.depth == maxDepth {
		return Value{}, fmt.Errorf("calls are nested more than %d deep", maxDepth)
	}
	m.run.depth++
	defer func() { m.run.depth-- }()
	f := &frame{}
	f.enter(m, p, entry)
	for i := range f.regs[:10] {
		f.regs[i].undefined = true
	}
	copy(f.regs[1:], args)
	defer func() { f.stack.Kill("its function has returned") }()
	for {
		done, err := m.step(f)
		switch {
		case err == nil && done:
			return f.regs[0], nil
		case err == nil:
		case errors.Is(err, errPastPacket):
			return Number(0), nil
		default:
			return Value{}, f.p.fault(f.pc, err)
		}
	}
}

// enter begins a program, in a call or by a tail call.
func (f *frame) enter(m *Machine, p *Program, entry int) {
	if f.stack != nil {
		f.stack.Kill("a tail call left its program")
	}
	f.p, f.pc, f.stack = p, entry, m.Frame("", frameSize)
	f.regs[10] = Pointer(f.stack, frameSize)
}

// step executes one instruction.
func (m *Machine) step(f *frame) (done bool, err error) {
	if f.pc < 0 || f.pc >= len(f.p.code) {
		return false, errors.New("it runs past the last instruction")
	}
	if err := m.Spend(1); err != nil {
		return false, err
	}
	in := &f.p.code[f.pc]
	switch class := in.op.Class(); class {
	case asm.ALUClass, asm.ALU64Class:
		err = f.arithmetic(in, class == asm.ALU64Class)
	case asm.JumpClass, asm.Jump32Class:
		return m.jump(f, in)
	case asm.LdXClass:
		err = m.load(f, in)
	case asm.StClass, asm.StXClass:
		err = m.store(f, in)
	default:
		err = m.loadImmediate(f, in)
	}
	if err == nil {
		f.pc++
	}
	return false, err
}

// get is the value of a register that was set.
func (f *frame) get(r asm.Register) (Value, error) {
	if f.regs[r].undefined {
		return Value{}, fmt.Errorf("%w: %s", errUndefined, r)
	}
	return f.regs[r], nil
}

func (f *frame) set(r asm.Register, v Value) error {
	if r == asm.R10 {
		return errFrameWrite
	}
	f.regs[r] = v
	return nil
}

func (m *Machine) load(f *frame, in *inst) error {
	p, err := f.get(in.src)
	if err != nil {
		return err
	}
	p.Number += uint64(int64(in.offset))
	width := in.op.Size().Sizeof()
	v, err := m.ReadWord(p, width)
	if err != nil {
		return err
	}
	switch in.op.Mode() {
	case asm.MemMode:
	case asm.MemSXMode:
		v = Number(uint64(signExtend(v.Number, 8*width)))
	default:
		return errNoSuch
	}
	return f.set(in.dst, v)
}

func (m *Machine) store(f *frame, in *inst) error {
	p, err := f.get(in.dst)
	if err != nil {
		return err
	}
	p.Number += uint64(int64(in.offset))
	width := in.op.Size().Sizeof()
	switch {
	case in.op.Class() == asm.StXClass && in.op.Mode() == asm.AtomicMode:
		return m.atomic(f, in, p, width)
	case in.op.Mode() != asm.MemMode:
		return errNoSuch
	case in.op.Class() == asm.StClass:
		return m.WriteWord(p, width, Number(uint64(in.imm)))
	}
	v, err := f.get(in.src)
	if err != nil {
		return err
	}
	return m.WriteWord(p, width, v)
}

// loadImmediate is a load of 64 bits or, in old programs, of the packet.
func (m *Machine) loadImmediate(f *frame, in *inst) error {
	switch {
	case in.op.Mode() == asm.AbsMode || in.op.Mode() == asm.IndMode:
		return m.loadPacket(f, in)
	case !in.op.IsDWordLoad():
		return errNoSuch
	case in.value.Region != nil:
		return f.set(in.dst, in.value)
	case in.src != asm.R0:
		return fmt.Errorf("it loads a reference of kind %d, which the machine does not know", in.src)
	}
	return f.set(in.dst, Number(uint64(in.imm)))
}
