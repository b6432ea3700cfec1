// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// Program is instructions whose references are resolved.
type Program struct {
	Name string

	code   []inst
	source asm.Instructions
}

// inst is an instruction, decoded.
type inst struct {
	op       asm.OpCode
	dst, src asm.Register
	offset   int16
	imm      int64
	raw      int   // its place in 8-byte units
	target   int   // of jumps and calls: index
	value    Value // of loads of maps, their values and functions
}

// Load resolves instructions: jumps and calls to symbols or by offset, maps by the name that
// they refer to. The first is the entry.
func (m *Machine) Load(name string, insns asm.Instructions) (*Program, error) {
	p := &Program{Name: name, source: insns, code: make([]inst, len(insns))}
	l := loader{m: m, p: p, symbols: map[string]int{}, byRaw: map[int]int{}}
	raw := 0
	for i, ins := range insns {
		p.code[i] = inst{op: ins.OpCode, dst: ins.Dst, src: ins.Src, offset: ins.Offset, imm: ins.Constant, raw: raw}
		l.byRaw[raw] = i
		if s := ins.Symbol(); s != "" {
			if _, twice := l.symbols[s]; twice {
				return nil, fmt.Errorf("load program %s: symbol %q is there twice", name, s)
			}
			l.symbols[s] = i
		}
		raw += int(ins.Width())
	}
	for i := range p.code {
		if err := l.resolve(i); err != nil {
			return nil, fmt.Errorf("load program %s: instruction %d (%v): %w", name, p.code[i].raw, insns[i], err)
		}
	}
	return p, nil
}

type loader struct {
	m       *Machine
	p       *Program
	symbols map[string]int
	byRaw   map[int]int
}

func (l *loader) resolve(i int) error {
	in := &l.p.code[i]
	if in.dst > asm.R10 || in.src > asm.R10 {
		return fmt.Errorf("there is no such register")
	}
	source := &l.p.source[i]
	switch {
	case source.IsLoadFromMap():
		return l.mapReference(in, source)
	case source.IsLoadOfFunctionPointer():
		target, err := l.target(in, source.Reference(), in.imm)
		in.value = l.m.Reference(FuncRef, source.Reference(), target)
		return err
	case source.IsFunctionCall():
		return l.to(in, source.Reference(), in.imm)
	case in.op == asm.OpCode(asm.Jump32Class):
		return l.to(in, source.Reference(), in.imm)
	case in.op.Class().IsJump() && in.op.JumpOp() != asm.Exit && in.op.JumpOp() != asm.Call && in.op.JumpOp() != asm.InvalidJumpOp:
		return l.to(in, source.Reference(), int64(in.offset))
	}
	return nil
}

func (l *loader) to(in *inst, symbol string, offset int64) (err error) {
	in.target, err = l.target(in, symbol, offset)
	return err
}

// target is where a reference leads, by symbol or by an offset in 8-byte units.
func (l *loader) target(in *inst, symbol string, offset int64) (int, error) {
	if i, ok := l.symbols[symbol]; ok && symbol != "" {
		return i, nil
	}
	if symbol != "" && offset == -1 {
		return 0, fmt.Errorf("there is no symbol %q", symbol)
	}
	i, ok := l.byRaw[in.raw+1+int(offset)]
	if !ok {
		return 0, fmt.Errorf("it leads out of the program or into the middle of an instruction")
	}
	return i, nil
}

func (l *loader) mapReference(in *inst, source *asm.Instruction) error {
	name := source.Reference()
	m := l.m.maps[name]
	switch {
	case m == nil:
		return fmt.Errorf("there is no map %q", name)
	case in.src == asm.PseudoMapFD:
		in.value = m.reference
		return nil
	}
	v, err := l.m.ValueOf(name, int64(uint64(in.imm)>>32))
	in.value = v
	return err
}

// MapOf is a map as programs hold it.
func (m *Machine) MapOf(name string) (Value, error) {
	if found := m.maps[name]; found != nil {
		return found.reference, nil
	}
	return Value{}, fmt.Errorf("there is no map %q", name)
}

// ValueOf is an address in the only value of an array map.
func (m *Machine) ValueOf(name string, offset int64) (Value, error) {
	found := m.maps[name]
	if found == nil {
		return Value{}, fmt.Errorf("there is no map %q", name)
	}
	if found.spec.Type != Array || found.spec.MaxEntries != 1 {
		return Value{}, fmt.Errorf("map %q is no array of one value", name)
	}
	return Pointer(found.store.lookup(make([]byte, 4), 0), offset), nil
}
