// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
)

// stacks keeps stack traces by an id that depends on nothing but the trace.
type stacks struct {
	*array
	buckets uint32
	held    map[uint32][]uint64
}

func newStacks(m *Machine, spec MapSpec) *stacks {
	buckets := uint32(1)
	for int(buckets) < spec.MaxEntries {
		buckets *= 2
	}
	spec.MaxEntries = int(buckets)
	return &stacks{array: newArray(m, spec, 1), buckets: buckets, held: map[uint32][]uint64{}}
}

// Flags of stack traces.
const (
	skipMask     = 0xff
	userStack    = 1 << 8
	fastCompare  = 1 << 9
	reuseStackID = 1 << 10
)

// id keeps a trace and gives its id, or the kernel's error.
func (s *stacks) id(trace []uint64, flags uint64) int64 {
	depth := min(len(trace), s.spec.ValueSize/8)
	trace = trace[:depth]
	h := fnv.New32a()
	for _, address := range trace {
		_ = binary.Write(h, binary.LittleEndian, address)
	}
	id := h.Sum32() & (s.buckets - 1)
	held, taken := s.held[id]
	if taken && !slices.Equal(held, trace) && flags&(fastCompare|reuseStackID) == 0 {
		return -eexist
	}
	s.held[id] = slices.Clone(trace)
	value := make([]byte, s.spec.ValueSize)
	for i, address := range trace {
		binary.LittleEndian.PutUint64(value[8*i:], address)
	}
	s.array.update(binary.LittleEndian.AppendUint32(nil, id), value, 0, 0)
	return int64(id)
}

// A program cannot look at traces.
func (s *stacks) update([]byte, []byte, uint64, int) int64 { return -einval }

func (s *stacks) remove(key []byte) int64 {
	id := binary.LittleEndian.Uint32(key)
	if _, ok := s.held[id]; !ok {
		return -enoent
	}
	delete(s.held, id)
	delete(s.values, id)
	return 0
}

func (s *stacks) lookup(key []byte, cpu int) *Region {
	if _, ok := s.held[binary.LittleEndian.Uint32(key)]; !ok {
		return nil
	}
	return s.array.lookup(key, cpu)
}

func (s *stacks) keys() iter.Seq[[]byte] {
	var keys [][]byte
	for _, id := range slices.Sorted(maps.Keys(s.held)) {
		keys = append(keys, binary.LittleEndian.AppendUint32(nil, id))
	}
	return slices.Values(keys)
}
