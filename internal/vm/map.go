// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
)

// MapType is the kernel's type of a map.
type MapType uint8

// The types of maps.
const (
	Hash MapType = iota
	LRUHash
	Array
	PerCPUHash
	LRUPerCPUHash
	PerCPUArray
	LPMTrie
	RingBuffer
	PerfEventArray
	ProgramArray
	StackTrace
)

// MapSpec describes a map. Sizes are in bytes; MaxEntries of a RingBuffer is its size.
type MapSpec struct {
	Name               string
	Type               MapType
	KeySize, ValueSize int
	MaxEntries         int
	// ReadOnly to programs, as .rodata is.
	ReadOnly bool
	// Contents of the first value of an Array, as .rodata and .data have them.
	Contents []byte
}

// What the kernel answers, negated.
const (
	enoent = 2
	e2big  = 7
	eagain = 11
	efault = 14
	eexist = 17
	einval = 22
	enospc = 28
	erange = 34
)

// Flags of an update.
const (
	noExist = 1
	exist   = 2
)

// store is how a type of map keeps its values. What fails gives the kernel's error number,
// 0 if nothing did.
type store interface {
	// lookup gives the value for a processor, nil if there is none.
	lookup(key []byte, cpu int) *Region
	update(key, value []byte, flags uint64, cpu int) int64
	remove(key []byte) int64
	// keys are in the order of the map, which may change meanwhile.
	keys() iter.Seq[[]byte]
}

// Map is a map of a machine.
type Map struct {
	spec      MapSpec
	store     store
	reference Value
	m         *Machine
}

// maxMapBytes bounds what a specification can make the machine allocate at once.
const maxMapBytes = 1 << 30

func (m *Machine) addMap(spec MapSpec) error {
	if m.maps[spec.Name] != nil {
		return fmt.Errorf("it is there twice")
	}
	if spec.MaxEntries <= 0 || spec.KeySize < 0 || spec.ValueSize < 0 ||
		int64(spec.MaxEntries)*int64(max(spec.ValueSize, 1)) > maxMapBytes {
		return fmt.Errorf("key of %d bytes, value of %d, %d entries", spec.KeySize, spec.ValueSize, spec.MaxEntries)
	}
	made := &Map{spec: spec, m: m}
	var err error
	if made.store, err = m.newStore(spec); err != nil {
		return err
	}
	made.reference = m.Reference(MapRef, spec.Name, made)
	m.maps[spec.Name] = made
	return nil
}

func (m *Machine) newStore(spec MapSpec) (store, error) {
	cpus := 1
	if spec.Type == PerCPUHash || spec.Type == PerCPUArray || spec.Type == LRUPerCPUHash {
		cpus = m.Host.cpus()
	}
	switch spec.Type {
	case Hash, PerCPUHash, LRUHash, LRUPerCPUHash:
		return newHash(m, spec, cpus), sizes(spec, spec.KeySize > 0)
	case Array, PerCPUArray:
		return newArray(m, spec, cpus), sizes(spec, spec.KeySize == 4)
	case LPMTrie:
		return newTrie(m, spec), sizes(spec, spec.KeySize > 4)
	case RingBuffer:
		return &ring{m: m, spec: spec}, sizes(spec, spec.KeySize == 0 && spec.ValueSize == 0 && spec.MaxEntries&(spec.MaxEntries-1) == 0)
	case PerfEventArray:
		return &ring{m: m, spec: spec}, nil
	case ProgramArray:
		return &programArray{programs: make([]*Program, spec.MaxEntries)}, nil
	case StackTrace:
		return newStacks(m, spec), sizes(spec, spec.KeySize == 4 && spec.ValueSize%8 == 0)
	}
	return nil, fmt.Errorf("type %d is not one of the machine's", spec.Type)
}

func sizes(spec MapSpec, ok bool) error {
	if ok {
		return nil
	}
	return fmt.Errorf("a key of %d bytes, a value of %d and %d entries are not what the type has", spec.KeySize, spec.ValueSize, spec.MaxEntries)
}

// Spec is what the map was made from.
func (p *Map) Spec() MapSpec { return p.spec }

// Lookup copies a value, that of processor 0 where each has one; nil if there is none.
func (p *Map) Lookup(key []byte) []byte { return p.LookupCPU(key, 0) }

// LookupCPU copies a processor's value.
func (p *Map) LookupCPU(key []byte, cpu int) []byte {
	if len(key) != p.spec.KeySize {
		return nil
	}
	r := p.store.lookup(key, cpu)
	if r == nil {
		return nil
	}
	return bytes.Clone(r.Data)
}

// Update sets a value, that of processor 0 where each has one.
func (p *Map) Update(key, value []byte) error {
	if len(key) != p.spec.KeySize || len(value) != p.spec.ValueSize {
		return fmt.Errorf("update map %q: key of %d bytes and value of %d, want %d and %d",
			p.spec.Name, len(key), len(value), p.spec.KeySize, p.spec.ValueSize)
	}
	if errno := p.store.update(key, value, 0, 0); errno != 0 {
		return fmt.Errorf("update map %q: error %d", p.spec.Name, errno)
	}
	return nil
}

// Delete removes a key and tells whether it was there.
func (p *Map) Delete(key []byte) bool {
	return len(key) == p.spec.KeySize && p.store.remove(key) == 0
}

// Keys are sorted as bytes.
func (p *Map) Keys() [][]byte {
	keys := slices.Collect(p.store.keys())
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

// SetProgram puts a program into a program array, or takes it out if it is nil.
func (p *Map) SetProgram(index int, program *Program) error {
	array, ok := p.store.(*programArray)
	if !ok || index < 0 || index >= len(array.programs) {
		return fmt.Errorf("set program %d of map %q: it has no such place for one", index, p.spec.Name)
	}
	array.programs[index] = program
	return nil
}

// Records are what programs wrote to a ring or to perf events, the oldest first. They are
// taken out.
func (p *Map) Records() [][]byte {
	r, ok := p.store.(*ring)
	if !ok {
		return nil
	}
	return r.take()
}

// mapOf is the map that a value stands for.
func mapOf(v Value) (*Map, error) {
	if !v.undefined && v.Region != nil {
		if found, ok := v.Region.Of.(*Map); ok && v.offset() == 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%s is no map", v)
}

// programArray holds programs, which programs cannot read.
type programArray struct{ programs []*Program }

func (*programArray) lookup([]byte, int) *Region               { return nil }
func (*programArray) update([]byte, []byte, uint64, int) int64 { return -einval }
func (*programArray) remove([]byte) int64                      { return -einval }
func (*programArray) keys() iter.Seq[[]byte]                   { return noKeys }

func noKeys(func([]byte) bool) {}
