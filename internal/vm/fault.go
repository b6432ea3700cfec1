// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// ErrBudget is the cause of a fault when a run took more instructions than it may.
var ErrBudget = errors.New("the budget of instructions is used up: a loop that does not end?")

// Fault is a run that ended at an instruction that cannot be executed.
type Fault struct {
	Program string
	// Index of the instruction in what was loaded, and Offset in 8-byte units, as the
	// verifier counts.
	Index  int
	Offset int
	// Instruction with all its metadata.
	Instruction asm.Instruction
	// Cause is what is wrong with it.
	Cause error
}

func (f *Fault) Error() string {
	var at strings.Builder
	fmt.Fprintf(&at, "run %s: instruction %d (%v)", f.Program, f.Offset, f.Instruction)
	if s := f.Instruction.Source(); s != nil {
		fmt.Fprintf(&at, ", of %s", strings.TrimSpace(s.String()))
	}
	return fmt.Sprintf("%s: %v", at.String(), f.Cause)
}

func (f *Fault) Unwrap() error { return f.Cause }

// fault adds the place to a cause, unless it has one: that of the innermost call.
func (p *Program) fault(pc int, cause error) error {
	var f *Fault
	if errors.As(cause, &f) {
		return cause
	}
	f = &Fault{Program: p.Name, Index: pc, Cause: cause}
	if pc >= 0 && pc < len(p.code) {
		f.Offset, f.Instruction = p.code[pc].raw, p.source[pc]
	}
	return f
}
