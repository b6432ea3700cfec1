// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"slices"
	"strings"
)

// Map is what a map held when it was read.
type Map struct {
	Name    string // with @
	Entries []Entry
	// Top is how many entries to show, the greatest, 0 for all; counts are divided by
	// Divisor, unless that is 0: the arguments of print().
	Top     int
	Divisor int64
}

// Entry is one of a map. A map without keys has one with Key nil.
type Entry struct {
	Key   []Value
	Value Value
}

// Sort puts the entries into the order in which they are shown: by value if that is a
// number, of histograms by how many they count, else by key. What is equal so is in the
// order of the keys, which bpftrace leaves open.
func (m *Map) Sort() {
	slices.SortStableFunc(m.Entries, func(a, b Entry) int {
		return cmp.Or(CompareAmounts(a.Value, b.Value), slices.CompareFunc(a.Key, b.Key, compare))
	})
}

// CompareAmounts compares the numbers that two values of a kind are, or count; it is 0 for what
// has no amount.
func CompareAmounts(a, b Value) int {
	switch a.Kind {
	case Integer, Bool, Average, Enum:
		return cmp.Compare(a.Int, b.Int)
	case Unsigned:
		return cmp.Compare(uint64(a.Int), uint64(b.Int))
	case Stats:
		return cmp.Compare(a.average(), b.average())
	case Histogram:
		return cmp.Compare(a.Total(), b.Total())
	}
	return 0
}

func (v Value) average() int64 {
	if v.Count == 0 {
		return 0
	}
	return v.Int / int64(v.Count)
}

func compare(a, b Value) int {
	switch a.Kind {
	case Integer, Bool, Average, Enum:
		return cmp.Compare(a.Int, b.Int)
	case Unsigned, Pointer:
		return cmp.Compare(uint64(a.Int), uint64(b.Int))
	case Tuple, Record, Array:
		return slices.CompareFunc(a.Elems, b.Elems, compare)
	}
	return strings.Compare(a.Text, b.Text)
}

// shown are the entries that Top leaves.
func (m *Map) shown() []Entry {
	if m.Top > 0 && m.Top < len(m.Entries) {
		return m.Entries[len(m.Entries)-m.Top:]
	}
	return m.Entries
}

// String is the map as it is printed, with the newline behind it.
func (m *Map) String() string {
	var texts []string
	blank := ""
	for _, e := range m.shown() {
		text, after := m.entry(e)
		texts = append(texts, text)
		blank = after
	}
	return strings.Join(texts, "\n") + blank + "\n"
}

// entry is one entry, and what follows the last of its kind.
func (m *Map) entry(e Entry) (text, after string) {
	name := m.Name
	if e.Key != nil {
		name += "[" + joined(e.Key, ", ") + "]"
	}
	divisor := m.Divisor
	if divisor == 0 {
		divisor = 1
	}
	switch v := e.Value; v.Kind {
	case Histogram:
		return name + ":\n" + v.histogram(divisor), ""
	case Stats:
		return name + ": " + v.stats(divisor), "\n"
	case Average:
		v.Int /= divisor
		return name + ": " + v.String(), "\n"
	case Integer, Unsigned:
		return name + ": " + divided(v, divisor).String(), ""
	default:
		return name + ": " + v.String(), ""
	}
}

func divided(v Value, divisor int64) Value {
	if v.Kind == Unsigned {
		v.Int = int64(uint64(v.Int) / uint64(divisor))
	} else {
		v.Int /= divisor
	}
	return v
}
