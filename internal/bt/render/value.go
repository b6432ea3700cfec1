// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"
	"strings"
)

// Kind says which fields of a [Value] mean something.
type Kind uint8

// The kinds of values.
const (
	None      Kind = iota
	Integer        // Int
	Unsigned       // Int, as uint64
	Bool           // Int
	Pointer        // Int, shown in hexadecimal
	Enum           // Int, shown by its name in Text, or as a number if that is ""
	Text           // Text: a string, a symbol, an address, a time
	Buffer         // Text holds the bytes
	Tuple          // Elems
	Record         // Elems, named by Names
	Array          // Elems
	Symbol         // Frames[0], an address of code or data
	Stack          // Frames, the innermost first
	Average        // Int, of so many as Count
	Stats          // Int is the total, Count of how many
	Histogram      // Buckets
)

// Value is one value of a script, with all that is needed to show it.
type Value struct {
	Kind    Kind
	Size    int // of an integer in bytes, which decides what printf makes of it; 0 is 8
	Int     int64
	Count   uint64
	Text    string
	Names   []string
	Elems   []Value
	Frames  []Frame
	Form    Form // of a stack
	Buckets []Bucket
	// Linear tells a linear histogram from one of powers of two.
	Linear bool
}

// String is the value as print() shows it, without a newline.
func (v Value) String() string {
	switch v.Kind {
	case Integer, Average:
		return strconv.FormatInt(v.Int, 10)
	case Unsigned:
		return strconv.FormatUint(uint64(v.Int), 10)
	case Bool:
		return strconv.FormatBool(v.Int != 0)
	case Pointer:
		return "0x" + strconv.FormatUint(uint64(v.Int), 16)
	case Enum:
		if v.Text == "" {
			return strconv.FormatInt(v.Int, 10)
		}
		return v.Text
	case Text:
		return v.Text
	case Symbol:
		return v.symbol()
	case Stack:
		return v.stack()
	case Buffer:
		return escape(v.Text, false)
	case Tuple:
		return "(" + joined(v.Elems, ", ") + ")"
	case Array:
		return "[" + joined(v.Elems, ",") + "]"
	case Record:
		return v.record()
	case Stats:
		return v.stats(1)
	case Histogram:
		return v.histogram(1)
	}
	return ""
}

func joined(values []Value, between string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.String()
	}
	return strings.Join(texts, between)
}

func (v Value) record() string {
	var b strings.Builder
	b.WriteString("{ ")
	for i, e := range v.Elems {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("." + v.name(i) + " = " + e.String())
	}
	b.WriteString(" }")
	return b.String()
}

func (v Value) name(i int) string {
	if i < len(v.Names) {
		return v.Names[i]
	}
	return ""
}

func (v Value) stats(divisor int64) string {
	average := int64(0)
	if v.Count > 0 {
		average = v.Int / int64(v.Count)
	}
	return "count " + strconv.FormatUint(v.Count, 10) + ", average " + strconv.FormatInt(average/divisor, 10) +
		", total " + strconv.FormatInt(v.Int/divisor, 10)
}

// escape writes bytes that are no printable ASCII as \xff; all of them if hex is set.
func escape(bytes string, all bool) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(bytes) {
		c := bytes[i]
		if !all && c >= ' ' && c <= '~' {
			b.WriteByte(c)
			continue
		}
		b.WriteString(`\x`)
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
