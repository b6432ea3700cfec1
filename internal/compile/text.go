// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"
	"strings"
)

// String is the program as text: its maps by name, then its functions, the entry first.
func (p *Program) String() string {
	var s strings.Builder
	names := make([]string, 0, len(p.Maps))
	for name := range p.Maps {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := p.Maps[name]
		fmt.Fprintf(&s, "map %s key %d value %d", name, m.KeySize, m.ValueSize)
		if m.PerCPU {
			s.WriteString(" percpu")
		}
		s.WriteByte('\n')
	}
	for _, f := range p.Funcs {
		if s.Len() > 0 {
			s.WriteByte('\n')
		}
		s.WriteString(f.String())
	}
	return s.String()
}

// String is the function as text: one value a line, blocks in their order. It is stable:
// the same function gives the same text.
func (f *Func) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "func %s(", f.Name)
	for i, t := range f.Params {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(t.String())
	}
	fmt.Fprintf(&s, ") %s {\n", f.Result)
	for _, b := range f.Blocks {
		b.text(&s)
	}
	s.WriteString("}\n")
	return s.String()
}

func (b *Block) text(s *strings.Builder) {
	fmt.Fprintf(s, "b%d:", b.ID)
	if len(b.Preds) > 0 {
		s.WriteString(" <-")
		for _, p := range b.Preds {
			fmt.Fprintf(s, " b%d", p.ID)
		}
	}
	if b.Unlikely {
		s.WriteString(" unlikely")
	}
	s.WriteByte('\n')
	for _, v := range b.Values {
		fmt.Fprintf(s, "\t%s\n", v)
	}
	fmt.Fprintf(s, "\t%s\n", b.exitText())
}

func (b *Block) exitText() string {
	var words []string
	switch b.Exit {
	case Jump:
		words = append(words, "jump")
	case Branch:
		words = append(words, "branch")
	case Return:
		words = append(words, "return")
	default:
		words = append(words, "unfinished")
	}
	if b.Control != nil {
		words = append(words, b.Control.name())
	}
	for _, t := range b.Succs {
		words = append(words, fmt.Sprintf("b%d", t.ID))
	}
	return strings.Join(words, " ")
}

func (v *Value) name() string {
	if v == nil {
		return "nil"
	}
	return fmt.Sprintf("v%d", v.ID)
}

// String is the value as a line of the text form: its name, operation and operands.
func (v *Value) String() string {
	var s strings.Builder
	if v.Type != Void {
		fmt.Fprintf(&s, "%s = ", v.name())
	}
	s.WriteString(v.Op.String())
	if v.Width != 0 && v.Op != LoadPtr {
		if v.Signed {
			s.WriteByte('s')
		}
		fmt.Fprintf(&s, ".%d", v.Width)
	}
	if v.Symbol != "" {
		fmt.Fprintf(&s, " %s", v.Symbol)
	}
	switch v.Op {
	case Const, Parameter, Slot, Call:
		fmt.Fprintf(&s, " %d", v.Imm)
	case ValueOf:
		fmt.Fprintf(&s, "%+d", v.Imm)
	}
	for i, a := range v.Args {
		fmt.Fprintf(&s, " %s", a.name())
		if i == 0 && v.Op.isMemory() {
			fmt.Fprintf(&s, "%+d", v.Imm)
		}
	}
	if v.Type != Void && v.Type != Word {
		fmt.Fprintf(&s, " : %s", v.Type)
	}
	return s.String()
}

// isMemory tells whether an operation is on memory at its first operand and Imm.
func (op Op) isMemory() bool { return op >= Load && op <= AtomicAdd }
