// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// scanString reads "..." with the escapes \n \t \r \" \\ \a \b \0 \' \ooo and \xhh.
func (s *scanner) scanString(start int) token {
	var b strings.Builder
	t := token{kind: tokString}
	for i := start + 1; ; {
		if i >= len(s.text) || s.text[i] == '\n' {
			return s.bad(start, i, "a string without its closing quote")
		}
		switch c := s.text[i]; c {
		case '"':
			t.text, t.start, t.end = s.text[start:i+1], start, i+1
			t.value = b.String()
			return t
		case '\\':
			value, end, msg := s.escape(i)
			if msg != "" && t.kind != tokBad {
				t = s.bad(i, end, msg) // the string goes on: what follows is none of its parts
			}
			b.WriteByte(value)
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
}

// escape reads the escape at i.
func (s *scanner) escape(i int) (value byte, end int, msg string) {
	c := s.at(i + 1)
	if at := strings.IndexByte(`ntr"\'abfv`, c); c != 0 && at >= 0 {
		return "\n\t\r\"\\'\a\b\f\v"[at], i + 2, ""
	}
	digits, base := 0, 8
	end = i + 1
	if c|0x20 == 'x' {
		base, end = 16, i+2
	}
	limit := map[int]int{8: 3, 16: 2}[base]
	for digits < limit && isDigitOf(s.at(end), base) {
		digits++
		end++
	}
	if digits == 0 {
		return 0, min(i+2, len(s.text)), `an escape that the language does not have: use \n \t \r \" \\ \ooo or \xhh`
	}
	n, err := strconv.ParseUint(s.text[end-digits:end], base, 8)
	if err != nil {
		return 0, end, `an octal escape above \377`
	}
	return byte(n), end, ""
}

func isDigitOf(c byte, base int) bool {
	if base == 8 {
		return '0' <= c && c <= '7'
	}
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// scanChar reads 'c', which is an integer.
func (s *scanner) scanChar(start int) token {
	end := start + 2
	if c := s.at(start + 1); c == '\\' {
		_, after, msg := s.escape(start + 1)
		if msg != "" {
			return s.bad(start, after, msg)
		}
		end = after
	} else if c == '\n' || c == '\'' || c >= 0x80 {
		end = len(s.text)
	}
	if s.at(end) != '\'' {
		return s.bad(start, start+1, "a character that is not one byte in quotes")
	}
	return s.cut(tokInteger, start, end+1)
}

// units are the suffixes of durations, in nanoseconds.
var units = [...]struct {
	suffix string
	factor uint64
}{
	{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9},
}

// parseInteger reads an integer as it is written in scripts. The grammar is that of C
// with _ between digits, an exponent, binary numbers and units of time.
func parseInteger(text string) (*Integer, error) {
	n := &Integer{Text: text}
	if strings.HasPrefix(text, "'") {
		return n.char()
	}
	digits := strings.ReplaceAll(text, "_", "")
	if strings.HasSuffix(text, "_") || digits == "" {
		return nil, fmt.Errorf("read integer %s: it ends in _", text)
	}
	base := 10
	switch {
	case len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x':
		base, digits = 16, digits[2:]
	case len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'b':
		base, digits = 2, digits[2:]
	case len(digits) > 1 && digits[0] == '0' && isDigit(digits[1]):
		base, digits = 8, digits[1:]
	}
	rest := strings.TrimLeft(digits, "0123456789")
	if base == 16 {
		rest = strings.TrimLeft(digits, "0123456789abcdefABCDEF")
	}
	value, err := strconv.ParseUint(digits[:len(digits)-len(rest)], base, 64)
	if err != nil {
		return nil, fmt.Errorf("read integer %s: it is not a number below 2^64", text)
	}
	if value, rest, err = exponent(text, value, rest); err != nil {
		return nil, err
	}
	return n.suffix(value, rest)
}

func (n *Integer) char() (*Integer, error) {
	inner := strings.TrimSuffix(n.Text[1:], "'")
	if inner == "" {
		return nil, fmt.Errorf("read character %s: it is empty", n.Text)
	}
	n.Value = uint64(inner[0])
	if inner[0] == '\\' {
		value, _, msg := newScanner(inner).escape(0)
		if msg != "" {
			return nil, fmt.Errorf("read character %s: it has %s", n.Text, msg)
		}
		n.Value = uint64(value)
	}
	return n, nil
}

func exponent(text string, value uint64, rest string) (uint64, string, error) {
	if rest == "" || rest[0]|0x20 != 'e' {
		return value, rest, nil
	}
	after := strings.TrimLeft(rest[1:], "0123456789")
	e, err := strconv.ParseUint(rest[1:len(rest)-len(after)], 10, 8)
	if err != nil {
		return 0, "", fmt.Errorf("read integer %s: the exponent is not a number below 20", text)
	}
	for ; e > 0 && value > 0; e-- {
		if value > math.MaxUint64/10 {
			return 0, "", fmt.Errorf("read integer %s: it is not below 2^64", text)
		}
		value *= 10
	}
	return value, after, nil
}

func (n *Integer) suffix(value uint64, suffix string) (*Integer, error) {
	n.Value = value
	n.Unsigned = value > math.MaxInt64
	for _, unit := range units {
		if suffix != unit.suffix {
			continue
		}
		if value > math.MaxUint64/unit.factor {
			return nil, fmt.Errorf("read duration %s: it is not below 2^64 ns", n.Text)
		}
		n.Value, n.Duration = value*unit.factor, true
		return n, nil
	}
	switch strings.ToLower(suffix) {
	case "", "l", "ll":
	case "u", "ul", "ull":
		n.Unsigned = true
	default:
		return nil, fmt.Errorf("read integer %s: unknown suffix %q", n.Text, suffix)
	}
	return n, nil
}
