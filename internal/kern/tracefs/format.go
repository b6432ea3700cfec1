// SPDX-License-Identifier: Apache-2.0

package tracefs

import (
	"strconv"
	"strings"
)

// Field is one field of a tracepoint's record.
type Field struct {
	Name string
	// Type as C writes it, without what makes it an array: "unsigned long", "const char *".
	Type string
	// Array tells that there are several, Count of them; 0 where that is not said in a number.
	Array bool
	Count int
	// Offset and Size in bytes, from the start of the record.
	Offset, Size int
	Signed       bool
	// Dynamic and Relative: the field says where the value is (__data_loc and __rel_loc).
	Dynamic, Relative bool
}

// ParseFormat reads a format file: its lines "field:TYPE NAME;offset:N;size:N;signed:N;"
// (kernel: kernel/trace/trace_events.c). What is not understood is left out.
func ParseFormat(text string) []Field {
	var fields []Field
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "field:")
		if !ok {
			continue
		}
		if field, ok := parseField(rest); ok {
			fields = append(fields, field)
		}
	}
	return fields
}

func parseField(text string) (f Field, ok bool) {
	parts := strings.Split(text, ";")
	if !f.declare(parts[0]) {
		return f, false
	}
	seen := 0
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 1<<16 {
			continue
		}
		switch name {
		case "offset":
			f.Offset = n
			seen++
		case "size":
			f.Size = n
			seen++
		case "signed":
			f.Signed = n != 0
		}
	}
	return f, seen == 2
}

// declare reads a declaration of C: type, name, and what makes it an array.
func (f *Field) declare(text string) bool {
	text = strings.TrimSpace(text)
	if open := strings.IndexByte(text, '['); open >= 0 && strings.HasSuffix(text, "]") {
		f.Array = true
		if n, err := strconv.Atoi(text[open+1 : len(text)-1]); err == nil && n >= 0 {
			f.Count = n
		}
		text = strings.TrimSpace(text[:open])
	}
	last := strings.LastIndexAny(text, " \t*")
	if last < 0 || last+1 == len(text) {
		return false
	}
	f.Name, f.Type = text[last+1:], strings.TrimSpace(text[:last+1])
	for _, prefix := range []string{"__data_loc ", "__rel_loc "} {
		if rest, ok := strings.CutPrefix(f.Type, prefix); ok {
			f.Type = strings.TrimSpace(rest)
			f.Dynamic, f.Relative = true, prefix == "__rel_loc "
		}
	}
	if element, ok := strings.CutSuffix(f.Type, "[]"); ok { // __data_loc char[] name
		f.Type, f.Array = strings.TrimSpace(element), true
	}
	return f.Name != "" && f.Type != ""
}
