// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"strings"
)

// checkStack is how many bytes the deepest chain of calls takes, and an error that names
// what takes them if that is over the limit.
func checkStack(entry string, emitted map[string]*emitter, limit int) (int, error) {
	type chain struct {
		size  int
		names []string
	}
	known := map[string]chain{}
	var visit func(name string) chain
	visit = func(name string) chain {
		if c, ok := known[name]; ok {
			return c
		}
		var deepest chain
		for _, callee := range references(emitted[name].out) {
			if c := visit(callee); c.size > deepest.size {
				deepest = c
			}
		}
		c := chain{deepest.size + emitted[name].frame.rounded(), append([]string{name}, deepest.names...)}
		known[name] = c
		return c
	}
	worst := visit(entry)
	if worst.size <= limit {
		return worst.size, nil
	}
	var parts []string
	for _, name := range worst.names {
		parts = append(parts, emitted[name].frame.describe(name))
	}
	return worst.size, fmt.Errorf("compile program: its frames take %d bytes of stack, and %d are allowed: %s",
		worst.size, limit, strings.Join(parts, "; "))
}

// rounded is the size as the verifier counts it.
func (fr *frame) rounded() int { return (max(fr.size, 1) + 31) &^ 31 }

// describe says what takes the room in a frame.
func (fr *frame) describe(name string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "function %s %d", name, fr.size)
	for _, v := range fr.largest(4) {
		fmt.Fprintf(&s, ", of that %d for the slot of line %d", v.Imm, v.Pos.Line)
	}
	return s.String()
}

// largest is the n largest slots.
func (fr *frame) largest(n int) []*Value {
	var out []*Value
	for v := range fr.at {
		out = append(out, v)
	}
	sortSlots(out)
	return out[:min(n, len(out))]
}
