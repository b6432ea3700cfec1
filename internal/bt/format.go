// SPDX-License-Identifier: Apache-2.0

package bt

import "strings"

// verb is one conversion of a format.
type verb struct {
	text   string // the whole of it: %-16s
	letter byte
}

// parseFormat finds the conversions of a format of printf: flags, width, precision and
// length as in C, and %r, %rx and %rh for buffers. What is wrong is said in words.
func parseFormat(format string) (verbs []verb, problem string) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		start := i
		i++
		for i < len(format) && strings.IndexByte("-+ #0123456789.", format[i]) >= 0 {
			i++
		}
		for i < len(format) && strings.IndexByte("hlzjt", format[i]) >= 0 {
			i++
		}
		switch {
		case i >= len(format):
			return nil, "the format ends inside of " + format[start:]
		case format[i] == '%':
			continue
		case strings.IndexByte("diuoxXpcsr", format[i]) < 0:
			return nil, "there is no conversion " + format[start:i+1]
		}
		verbs = append(verbs, verb{text: format[start : i+1], letter: format[i]})
	}
	return verbs, ""
}

// takes tells whether a conversion prints values of a type.
func (v verb) takes(t Type) bool {
	switch v.letter {
	case 's':
		return t.Kind != Pointer && t.Kind != Record && t.Kind != Tuple && (t.Kind != Integer || t.Name != "")
	case 'r':
		return t.Kind == Buffer || t.Kind == ArrayOf || t.Kind == String
	case 'p':
		return t.isNumber() || t.Kind == KSymbol
	}
	return t.isNumber() || t.Kind == Timestamp || t.Kind == UserName
}
