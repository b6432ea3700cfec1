// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"
)

// Options are what the target has and lacks. The zero value is what Linux 5.10 runs.
type Options struct {
	// CPU is the version of the instruction set: 3 (Linux 5.1) or 4 (6.6: sign-extending
	// loads and moves, unconditional byte swap, signed division); 0 is 3.
	CPU int
	// Stack is how many bytes of frames a chain of calls may take; 0 is 512, the kernel's
	// limit.
	Stack int
}

// Code is a compiled program.
type Code struct {
	// Instructions are the entry and then the other functions, each of which begins with
	// its symbol. Loads of maps and functions carry the name as reference.
	Instructions asm.Instructions
	// Positions are by 8-byte slot, as the verifier numbers instructions.
	Positions []Pos
	// Frame is how many bytes of stack the deepest chain of calls takes, each frame rounded
	// up to 32 as the verifier does.
	Frame int
	Stats Stats
}

// Stats tell how good the code is.
type Stats struct {
	Slots  int // of 8 bytes
	Values int // that were left to compile after simplification
	Spills int // loads and stores of the frame that the allocator added
	Moves  int // between registers
}

// Compile makes bytecode of a program that passes Check, and leaves the program as it is.
// The error is of a program that passes but is too large: its frames, or a jump.
func Compile(p *Program, o Options) (*Code, error) { return compileTuned(p, o, tuning{}) }

// tuning lets tests compile a program in ways that no user asks for, and compare.
type tuning struct {
	plain bool     // without simplification
	avoid [10]bool // registers that are not allocated
}

func compileTuned(p *Program, o Options, t tuning) (*Code, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if o.CPU == 0 {
		o.CPU = 3
	}
	if o.Stack == 0 {
		o.Stack = 512
	}
	code := &Code{}
	emitted := map[string]*emitter{}
	for _, f := range p.Funcs {
		e, err := compileFunc(f.clone(), p.Maps, o, t)
		if err != nil {
			return nil, fmt.Errorf("compile function %s: %w", f.Name, err)
		}
		emitted[f.Name] = e
	}
	kept := referenced(p.Funcs, emitted)
	for _, f := range kept {
		code.append(f, emitted[f.Name])
	}
	if len(kept) > 1 {
		describe(code.Instructions, kept)
	}
	var err error
	code.Frame, err = checkStack(p.Funcs[0].Name, emitted, o.Stack)
	return code, err
}

// referenced are the functions that the entry still leads to: the verifier refuses others.
func referenced(funcs []*Func, emitted map[string]*emitter) []*Func {
	reached := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if reached[name] {
			return
		}
		reached[name] = true
		for _, callee := range references(emitted[name].out) {
			visit(callee)
		}
	}
	visit(funcs[0].Name)
	return slices.DeleteFunc(slices.Clone(funcs), func(f *Func) bool { return !reached[f.Name] })
}

// references are the functions that instructions call or give to helpers.
func references(insts asm.Instructions) []string {
	var names []string
	for i := range insts {
		if insts[i].IsFunctionReference() {
			names = append(names, insts[i].Reference())
		}
	}
	return names
}

func (c *Code) append(f *Func, e *emitter) {
	e.out[0] = e.out[0].WithSymbol(f.Name)
	c.Instructions = append(c.Instructions, e.out...)
	c.Positions = append(c.Positions, e.positions...)
	c.Stats.Slots += len(e.positions)
	c.Stats.Spills += e.spills
	c.Stats.Moves += e.moves
	for _, b := range e.m.blocks {
		c.Stats.Values += len(b.block.Values)
	}
}

// compileFunc takes one function through all passes.
func compileFunc(f *Func, shapes map[string]MapShape, o Options, t tuning) (*emitter, error) {
	expandDivision(f, o)
	if !t.plain {
		simplify(f, shapes)
	}
	splitCriticalEdges(f)
	m := selectInstructions(f, layout(f), o, placeSlots(f))
	numberInsts(m)
	liveness(m)
	l := intervals(m)
	if err := allocate(l, t.avoid); err != nil {
		return nil, err
	}
	p := place(l)
	return emit(m, p, resolve(p), o)
}
