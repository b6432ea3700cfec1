// SPDX-License-Identifier: Apache-2.0

package vm

import "fmt"

// Kind is what a region is.
type Kind uint8

// The kinds of regions.
const (
	Stack Kind = iota
	Context
	Packet
	MapValue
	Memory // what a helper gave
	MapRef // a map itself, which can only be given to helpers
	FuncRef
)

// kindNames are in the order of the kinds.
func (k Kind) String() string {
	return [...]string{"stack", "context", "packet", "map value", "memory", "map", "function"}[k]
}

// Region is a run of memory that pointers reach.
type Region struct {
	Kind Kind
	Name string // of its map or function, if there is one
	// Data is nil where nothing can be read.
	Data []byte
	// Base is the address of the first byte: no two regions share one, and none is near
	// another or 0.
	Base     uint64
	ReadOnly bool
	// Of is what a MapRef or FuncRef stands for.
	Of any

	defined  []bool    // bytes that were written; nil: all
	pointers []*Region // of each aligned 8 bytes, what a pointer stored there reaches; nil: none can be stored
	dead     string    // why it is gone
	fields   []field
}

// field is a pointer in a context that reads as Width bytes.
type field struct {
	offset, width int
	value         Value
}

func (r *Region) String() string {
	if r.Name == "" {
		return r.Kind.String()
	}
	return fmt.Sprintf("%s %s", r.Kind, r.Name)
}

// Kill makes every access through pointers to the region fail, and says why.
func (r *Region) Kill(why string) { r.dead = why }

// Value is what a register holds: a number, or the address of a byte in a region. Only
// what is derived from a region's own address has a Region.
type Value struct {
	Number uint64
	Region *Region

	undefined bool
}

// Number is a value that is no pointer.
func Number(n uint64) Value { return Value{Number: n} }

// Pointer is the address of a byte of a region.
func Pointer(r *Region, offset int64) Value {
	return Value{Number: r.Base + uint64(offset), Region: r}
}

// offset is that of a pointer in its region.
func (v Value) offset() int64 { return int64(v.Number - v.Region.Base) }

func (v Value) String() string {
	switch {
	case v.undefined:
		return "undefined"
	case v.Region == nil:
		return fmt.Sprintf("%#x", v.Number)
	}
	return fmt.Sprintf("%s%+d", v.Region, v.offset())
}

const (
	firstAddress = 0xffff_c900_0000_0000 // where Linux on amd64 has vmalloc
	guard        = 1 << 16               // between regions, so that a wrong offset is in none
)

// Region makes one of size bytes, all 0.
func (m *Machine) Region(kind Kind, name string, size int) *Region {
	return m.adopt(&Region{Kind: kind, Name: name, Data: make([]byte, size)})
}

// Frame makes stack memory of size bytes that holds nothing yet.
func (m *Machine) Frame(name string, size int) *Region {
	r := m.Region(Stack, name, size)
	r.defined = make([]bool, size)
	r.pointers = make([]*Region, (size+7)/8)
	return r
}

// Reference makes a value that stands for a map or a function.
func (m *Machine) Reference(kind Kind, name string, of any) Value {
	return Pointer(m.adopt(&Region{Kind: kind, Name: name, Of: of}), 0)
}

func (m *Machine) adopt(r *Region) *Region {
	r.Base = m.nextAddress
	size := (uint64(len(r.Data)) + 15) &^ 15
	m.nextAddress += size + guard
	return r
}
