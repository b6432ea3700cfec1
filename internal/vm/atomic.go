// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"

	"github.com/cilium/ebpf/asm"
)

// The two that the assembler can make but does not name.
const (
	loadAcquire  asm.AtomicOp = 0x1_0000
	storeRelease asm.AtomicOp = 0x1_1000
)

// atomic reads, changes and writes. One machine has one processor: nothing comes between.
func (m *Machine) atomic(f *frame, in *inst, p Value, width int) error {
	op := in.op.AtomicOp()
	switch op {
	case loadAcquire:
		return m.acquire(f, in, width)
	case storeRelease:
		v, err := f.get(in.src)
		if err != nil {
			return err
		}
		return m.WriteWord(p, width, v)
	}
	operand, err := f.get(in.src)
	if err != nil {
		return err
	}
	if width < 4 {
		return errNoSuch
	}
	old, err := m.ReadWord(p, width)
	if err != nil {
		return err
	}
	if old.Region != nil || operand.Region != nil {
		return errors.New("an atomic operation on a pointer")
	}
	n, store, err := f.modify(op, old.Number, operand.Number, width)
	if err != nil {
		return err
	}
	if store {
		if err := m.WriteWord(p, width, Number(n)); err != nil {
			return err
		}
	}
	return f.fetched(op, in.src, old)
}

// fetched gives the old value to the register that wants it.
func (f *frame) fetched(op asm.AtomicOp, src asm.Register, old Value) error {
	switch {
	case op == asm.CmpXchg:
		return f.set(asm.R0, old)
	case op&0x100 != 0:
		return f.set(src, old)
	}
	return nil
}

// modify is the new value, and whether it is to be stored.
func (f *frame) modify(op asm.AtomicOp, old, operand uint64, width int) (n uint64, store bool, err error) {
	switch op {
	case asm.AddAtomic, asm.FetchAdd:
		return old + operand, true, nil
	case asm.AndAtomic, asm.FetchAnd:
		return old & operand, true, nil
	case asm.OrAtomic, asm.FetchOr:
		return old | operand, true, nil
	case asm.XorAtomic, asm.FetchXor:
		return old ^ operand, true, nil
	case asm.Xchg:
		return operand, true, nil
	case asm.CmpXchg:
		expected, err := f.get(asm.R0)
		if width == 4 {
			expected.Number = uint64(uint32(expected.Number))
		}
		return operand, expected.Number == old, err
	}
	return 0, false, errNoSuch
}

func (m *Machine) acquire(f *frame, in *inst, width int) error {
	p, err := f.get(in.src)
	if err != nil {
		return err
	}
	p.Number += uint64(int64(in.offset))
	v, err := m.ReadWord(p, width)
	if err != nil {
		return err
	}
	return f.set(in.dst, v)
}
