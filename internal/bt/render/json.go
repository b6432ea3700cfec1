// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSON appends the value as bpftrace writes it: enumerators and pointers are numbers,
// symbols and stacks are strings.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Kind {
	case Integer, Average, Enum:
		return strconv.AppendInt(dst, v.Int, 10)
	case Unsigned, Pointer:
		return strconv.AppendUint(dst, uint64(v.Int), 10)
	case Bool:
		return strconv.AppendBool(dst, v.Int != 0)
	case Tuple, Array:
		return v.appendList(dst)
	case Record:
		return v.appendRecord(dst)
	case Stats:
		return v.appendStats(dst, 1)
	case Histogram:
		return v.appendBuckets(dst, 1)
	}
	return AppendText(dst, v.String())
}

// AppendText appends a string. What is not printable is escaped, so that a line of JSON is
// safe on a terminal too, and what is not UTF-8 becomes U+FFFD.
func AppendText(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case strconv.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return append(dst, '"')
}

func (v Value) appendList(dst []byte) []byte {
	dst = append(dst, '[')
	for i, e := range v.Elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.AppendJSON(dst)
	}
	return append(dst, ']')
}

func (v Value) appendRecord(dst []byte) []byte {
	dst = append(dst, '{')
	for i, e := range v.Elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, ' ')
		dst = append(AppendText(dst, v.name(i)), ": "...)
		dst = e.AppendJSON(dst)
	}
	return append(dst, " }"...)
}

func (v Value) appendStats(dst []byte, divisor int64) []byte {
	dst = append(dst, `{"count": `...)
	dst = strconv.AppendUint(dst, v.Count, 10)
	dst = append(dst, `, "average": `...)
	dst = strconv.AppendInt(dst, v.average()/divisor, 10)
	dst = append(dst, `, "total": `...)
	dst = strconv.AppendInt(dst, v.Int/divisor, 10)
	return append(dst, '}')
}

// appendBuckets: the limits of a bucket are both in it; one that is open has only one.
func (v Value) appendBuckets(dst []byte, divisor int64) []byte {
	dst = append(dst, '[')
	for i, b := range v.Buckets {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, '{')
		if !b.Below {
			dst = append(dst, `"min": `...)
			dst = append(strconv.AppendInt(dst, b.Low, 10), ", "...)
		}
		if !b.Above {
			dst = append(dst, `"max": `...)
			dst = append(strconv.AppendInt(dst, b.High-1, 10), ", "...)
		}
		dst = append(dst, `"count": `...)
		dst = append(strconv.AppendUint(dst, b.Count/uint64(divisor), 10), '}')
	}
	return append(dst, ']')
}

// AppendJSON appends the map as one object without a newline.
func (m *Map) AppendJSON(dst []byte) []byte {
	entries := m.shown()
	dst = append(dst, `{"type": "`...)
	dst = append(dst, m.jsonType()...)
	dst = append(AppendText(append(dst, `", "data": {`...), m.Name), ": "...)
	if len(entries) == 1 && entries[0].Key == nil {
		return append(m.appendValue(dst, entries[0].Value), "}}"...)
	}
	dst = append(dst, '{')
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(AppendText(dst, keyText(e.Key)), ": "...)
		dst = m.appendValue(dst, e.Value)
	}
	return append(dst, "}}}"...)
}

func (m *Map) jsonType() string {
	if len(m.Entries) > 0 {
		switch m.Entries[0].Value.Kind {
		case Histogram:
			return "hist"
		case Stats, Average:
			return "stats"
		}
	}
	return "map"
}

func (m *Map) appendValue(dst []byte, v Value) []byte {
	divisor := m.Divisor
	if divisor == 0 {
		divisor = 1
	}
	switch v.Kind {
	case Histogram:
		return v.appendBuckets(dst, divisor)
	case Stats:
		return v.appendStats(dst, divisor)
	case Integer, Average, Unsigned:
		return divided(v, divisor).AppendJSON(dst)
	}
	return v.AppendJSON(dst)
}

// keyText is a key as the name of a member: its parts with commas between, texts as they are.
func keyText(key []Value) string {
	var text []byte
	for i, part := range key {
		if i > 0 {
			text = append(text, ',')
		}
		switch part.Kind {
		case Tuple, Array, Record:
			text = part.AppendJSON(text)
		default:
			text = append(text, part.plain()...)
		}
	}
	return string(text)
}

// plain is a value as JSON has it, without quotes.
func (v Value) plain() string {
	switch v.Kind {
	case Integer, Unsigned, Bool, Pointer, Enum, Average:
		return string(v.AppendJSON(nil))
	}
	return v.String()
}
