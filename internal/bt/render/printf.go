// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"
	"strings"
)

// Directive is one conversion of a printf format, or a text between two.
type Directive struct {
	Text string // of what is no conversion, with %% as one
	// Verb is the conversion: one of d i u x X o c s p r, 0 for a text. For r, Hex is what
	// follows: 'x' or 'h' or 0.
	Verb byte
	Hex  byte
	// Bytes is the size of the C type that the length modifier names: int without one.
	Bytes                          int
	Left, Zero, Plus, Space, Sharp bool
	Width                          int
	Precision                      int // -1 if there is none
}

// maxWidth bounds what a format may blow up.
const maxWidth = 4096

// ParseFormat cuts a format of printf() into directives. What is no conversion stays text,
// as in bpftrace.
func ParseFormat(format string) []Directive {
	var out []Directive
	text := ""
	for len(format) > 0 {
		percent := strings.IndexByte(format, '%')
		if percent < 0 {
			text += format
			break
		}
		text += format[:percent]
		format = format[percent:]
		if strings.HasPrefix(format, "%%") {
			text, format = text+"%", format[2:]
			continue
		}
		d, rest, ok := parseDirective(format[1:])
		if !ok {
			text, format = text+"%", format[1:]
			continue
		}
		if text != "" {
			out = append(out, Directive{Text: text})
			text = ""
		}
		out, format = append(out, d), rest
	}
	if text != "" {
		out = append(out, Directive{Text: text})
	}
	return out
}

// parseDirective reads what follows a percent sign.
func parseDirective(s string) (d Directive, rest string, ok bool) {
	d.Precision = -1
	s = d.parseFlags(s)
	d.Width, s = parseNumber(s)
	if strings.HasPrefix(s, ".") {
		d.Precision, s = parseNumber(s[1:])
	}
	d.Bytes, s = parseLength(s)
	if s == "" || !strings.ContainsRune("diuxXocspr", rune(s[0])) {
		return d, "", false
	}
	d.Verb, s = s[0], s[1:]
	if d.Verb == 'r' && s != "" && (s[0] == 'x' || s[0] == 'h') {
		d.Hex, s = s[0], s[1:]
	}
	return d, s, true
}

func (d *Directive) parseFlags(s string) string {
	for s != "" {
		switch s[0] {
		case '-':
			d.Left = true
		case '0':
			d.Zero = true
		case '+':
			d.Plus = true
		case ' ':
			d.Space = true
		case '#':
			d.Sharp = true
		default:
			return s
		}
		s = s[1:]
	}
	return s
}

func parseNumber(s string) (n int, rest string) {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		n = min(10*n+int(s[0]-'0'), maxWidth)
		s = s[1:]
	}
	return n, s
}

// lengths are the length modifiers, the longer ones first.
var lengths = []struct {
	text  string
	bytes int
}{{"hh", 1}, {"h", 2}, {"ll", 8}, {"l", 8}, {"j", 8}, {"z", 8}, {"t", 8}}

func parseLength(s string) (bytes int, rest string) {
	for _, l := range lengths {
		if strings.HasPrefix(s, l.text) {
			return l.bytes, s[len(l.text):]
		}
	}
	return 4, s
}

// Printf formats as C's printf does: an integer without a length modifier is an int, of
// which more than 32 bits are lost. What is missing is shown as nothing.
func Printf(format string, args []Value) string { return Format(ParseFormat(format), args) }

// Format is [Printf] with a format that was parsed before.
func Format(directives []Directive, args []Value) string {
	var b strings.Builder
	for _, d := range directives {
		if d.Verb == 0 {
			b.WriteString(d.Text)
			continue
		}
		var v Value
		if len(args) > 0 {
			v, args = args[0], args[1:]
		}
		b.WriteString(d.format(v))
	}
	return b.String()
}

func (d Directive) format(v Value) string {
	switch d.Verb {
	case 's':
		return d.pad(d.cut(v.String()))
	case 'r':
		return d.pad(d.buffer(v))
	case 'c':
		return d.pad(string([]byte{byte(v.Int)}))
	case 'p':
		if v.Int == 0 {
			return d.pad("(nil)")
		}
		return d.pad("0x" + strconv.FormatUint(uint64(v.Int), 16))
	case 'd', 'i':
		return d.signed(v.Int)
	}
	return d.unsigned(uint64(v.Int))
}

func (d Directive) buffer(v Value) string {
	switch d.Hex {
	case 'h':
		return strings.ReplaceAll(strings.TrimPrefix(escape(v.Text, true), `\x`), `\x`, " ")
	case 'x':
		return escape(v.Text, true)
	}
	return escape(v.Text, false)
}

func (d Directive) cut(s string) string {
	if d.Precision >= 0 && d.Precision < len(s) {
		return s[:d.Precision]
	}
	return s
}

func (d Directive) pad(s string) string {
	blanks := strings.Repeat(" ", max(d.Width-len(s), 0))
	if d.Left {
		return s + blanks
	}
	return blanks + s
}

func (d Directive) signed(n int64) string {
	drop := 64 - 8*d.Bytes
	n = n << drop >> drop
	sign, digits := "", strconv.FormatInt(n, 10)
	switch {
	case n < 0:
		sign, digits = "-", digits[1:]
	case d.Plus:
		sign = "+"
	case d.Space:
		sign = " "
	}
	return d.number(sign, digits)
}

func (d Directive) unsigned(n uint64) string {
	drop := 64 - 8*d.Bytes
	n = n << drop >> drop
	switch d.Verb {
	case 'x', 'X':
		prefix, digits := "", strconv.FormatUint(n, 16)
		if d.Sharp && n != 0 {
			prefix = "0x"
		}
		if d.Verb == 'X' {
			prefix, digits = strings.ToUpper(prefix), strings.ToUpper(digits)
		}
		return d.number(prefix, digits)
	case 'o':
		prefix := ""
		if d.Sharp && n != 0 {
			prefix = "0"
		}
		return d.number(prefix, strconv.FormatUint(n, 8))
	}
	return d.number("", strconv.FormatUint(n, 10))
}

// number pads digits: with zeros behind the sign if the format says so.
func (d Directive) number(sign, digits string) string {
	if d.Precision >= 0 {
		digits = strings.Repeat("0", max(d.Precision-len(digits), 0)) + digits
	} else if d.Zero && !d.Left {
		digits = strings.Repeat("0", max(d.Width-len(sign)-len(digits), 0)) + digits
	}
	return d.pad(sign + digits)
}
