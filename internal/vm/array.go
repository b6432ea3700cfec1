// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"encoding/binary"
	"iter"
)

// array makes its values when they are first looked at.
type array struct {
	m      *Machine
	spec   MapSpec
	cpus   int
	values map[uint32][]*Region
}

func newArray(m *Machine, spec MapSpec, cpus int) *array {
	return &array{m: m, spec: spec, cpus: cpus, values: map[uint32][]*Region{}}
}

func (a *array) lookup(key []byte, cpu int) *Region {
	i := binary.LittleEndian.Uint32(key)
	if uint64(i) >= uint64(a.spec.MaxEntries) {
		return nil
	}
	values := a.values[i]
	if values == nil {
		for range a.cpus {
			r := a.m.Region(MapValue, a.spec.Name, a.spec.ValueSize)
			if r.ReadOnly = a.spec.ReadOnly; i == 0 {
				copy(r.Data, a.spec.Contents)
			}
			values = append(values, r)
		}
		a.values[i] = values
	}
	return values[cpu%len(values)]
}

func (a *array) update(key, value []byte, flags uint64, cpu int) int64 {
	if flags > exist {
		return -einval
	}
	r := a.lookup(key, cpu)
	if r == nil {
		return -e2big
	}
	if flags == noExist {
		return -eexist
	}
	copy(r.Data, value)
	return 0
}

func (a *array) remove([]byte) int64 { return -einval }

func (a *array) keys() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range uint32(a.spec.MaxEntries) {
			if !yield(binary.LittleEndian.AppendUint32(nil, i)) {
				return
			}
		}
	}
}
