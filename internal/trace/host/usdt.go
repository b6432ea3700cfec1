// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/bt"
)

// Arguments implements [bt.Host].
func (h *Host) Arguments(target bt.Target) ([]bt.Operand, bool) {
	f, err := h.Files.Open(target.Binary)
	if err != nil {
		return nil, false
	}
	for _, p := range f.Probes() {
		if p.Provider == target.Provider && p.Name == target.Event && p.Address == target.Offset {
			return parseOperands(p.Arguments, h.Machine().Arch)
		}
	}
	return nil, false
}

// parseOperands reads what a note says of a probe's arguments: "SIZE@OPERAND", apart by
// blanks, the operand in the assembler's notation (AT&T on x86). SIZE is negative if the
// argument is signed, and may be followed by f for a float.
func parseOperands(text, arch string) ([]bt.Operand, bool) {
	var out []bt.Operand
	for _, part := range operandTexts(text) {
		o, ok := parseOperand(part, arch)
		if !ok {
			return out, false
		}
		out = append(out, o)
	}
	return out, true
}

// operandTexts splits at blanks outside of brackets: arm64 writes [sp, 8].
func operandTexts(text string) []string {
	var out []string
	begin, depth := 0, 0
	for i := range len(text) + 1 {
		switch {
		case i < len(text) && text[i] == '[':
			depth++
		case i < len(text) && text[i] == ']':
			depth--
		case i == len(text) || text[i] == ' ' && depth <= 0:
			if begin < i {
				out = append(out, text[begin:i])
			}
			begin = i + 1
		}
	}
	return out
}

func parseOperand(text, arch string) (o bt.Operand, ok bool) {
	size, operand, ok := strings.Cut(text, "@")
	if !ok {
		size, operand = "8", text // old notes have no sizes
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, "f"))
	if err != nil || n == 0 || n > 8 || n < -8 {
		return o, false
	}
	o.Size, o.Signed = max(n, -n), n < 0
	if arch == "arm64" {
		ok = parseARM(&o, operand)
	} else {
		ok = parseX86(&o, operand)
	}
	return o, ok
}

// parseX86 reads $5, %eax, 8(%rbp) and 8(%rax,%rbx,4).
func parseX86(o *bt.Operand, text string) bool {
	if constant, ok := strings.CutPrefix(text, "$"); ok {
		n, err := strconv.ParseInt(constant, 0, 64)
		o.Offset = n
		return err == nil
	}
	if name, ok := strings.CutPrefix(text, "%"); ok {
		o.Register = registersX86[name]
		return o.Register != ""
	}
	offset, inner, ok := strings.Cut(text, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed {
		return false
	}
	o.Memory = true
	if offset != "" {
		n, err := strconv.ParseInt(offset, 0, 64)
		if err != nil {
			return false
		}
		o.Offset = n
	}
	return parseAddressX86(o, inner)
}

func parseAddressX86(o *bt.Operand, inner string) bool {
	parts := strings.Split(inner, ",")
	o.Register = registersX86[strings.TrimPrefix(strings.TrimSpace(parts[0]), "%")]
	if o.Register == "" || len(parts) > 3 {
		return false
	}
	if len(parts) == 1 {
		return true
	}
	o.Index, o.Scale = registersX86[strings.TrimPrefix(strings.TrimSpace(parts[1]), "%")], 1
	if len(parts) == 3 {
		n, err := strconv.ParseInt(strings.TrimSpace(parts[2]), 0, 64)
		if err != nil || n != 1 && n != 2 && n != 4 && n != 8 {
			return false
		}
		o.Scale = n
	}
	return o.Index != ""
}

// registersX86 are the assembler's names of registers and of parts of them, and those of
// struct pt_regs. The second-lowest byte (ah) has no place here: its value is not at the
// beginning.
var registersX86 = x86Names()

func x86Names() map[string]string {
	names := map[string]string{"rip": "ip", "eip": "ip"}
	for _, r := range []string{"ax", "bx", "cx", "dx"} {
		names["r"+r], names["e"+r], names[r], names[r[:1]+"l"] = r, r, r, r
	}
	for _, r := range []string{"si", "di", "bp", "sp"} {
		names["r"+r], names["e"+r], names[r], names[r+"l"] = r, r, r, r
	}
	for n := 8; n <= 15; n++ {
		r := "r" + strconv.Itoa(n)
		names[r], names[r+"d"], names[r+"w"], names[r+"b"] = r, r, r, r
	}
	return names
}

// parseARM reads 5, x0, w1, [sp], [sp, 8] and [x0, x1].
func parseARM(o *bt.Operand, text string) bool {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		return parseAddressARM(o, inner)
	}
	if o.Register = registerARM(text); o.Register != "" {
		return true
	}
	n, err := strconv.ParseInt(text, 0, 64)
	o.Offset = n
	return err == nil
}

func parseAddressARM(o *bt.Operand, text string) bool {
	inner, closed := strings.CutSuffix(text, "]")
	base, offset, more := strings.Cut(inner, ",")
	o.Memory, o.Register = true, registerARM(strings.TrimSpace(base))
	if !closed || o.Register == "" {
		return false
	}
	if !more {
		return true
	}
	offset = strings.TrimPrefix(strings.TrimSpace(offset), "#")
	if o.Index = registerARM(offset); o.Index != "" {
		o.Scale = 1
		return true
	}
	n, err := strconv.ParseInt(offset, 0, 64)
	o.Offset = n
	return err == nil
}

// registerARM is a register by its name in struct pt_regs, in which w0 is part of x0.
func registerARM(name string) string {
	switch {
	case name == "sp" || name == "pc":
		return name
	case len(name) < 2 || name[0] != 'x' && name[0] != 'w':
		return ""
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil || n < 0 || n > 30 {
		return ""
	}
	return "x" + strconv.Itoa(n)
}
