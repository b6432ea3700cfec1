// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"container/list"
	"iter"
	"slices"
)

// hash keeps its elements in the order of insertion or, if it evicts, of use: the kernel's
// LRU is an approximation of that.
type hash struct {
	m       *Machine
	spec    MapSpec
	cpus    int
	evicts  bool
	byKey   map[string]*list.Element
	ordered *list.List // of *element
}

type element struct {
	key    []byte
	values []*Region // one, or one for each processor
}

func newHash(m *Machine, spec MapSpec, cpus int) *hash {
	return &hash{
		m: m, spec: spec, cpus: cpus, evicts: spec.Type == LRUHash || spec.Type == LRUPerCPUHash,
		byKey: map[string]*list.Element{}, ordered: list.New(),
	}
}

func (h *hash) lookup(key []byte, cpu int) *Region {
	at := h.byKey[string(key)]
	if at == nil {
		return nil
	}
	if h.evicts {
		h.ordered.MoveToBack(at)
	}
	values := at.Value.(*element).values
	return values[cpu%len(values)]
}

func (h *hash) update(key, value []byte, flags uint64, cpu int) int64 {
	at := h.byKey[string(key)]
	if errno := permits(flags, at != nil); errno != 0 {
		return errno
	}
	if at == nil {
		if len(h.byKey) >= h.spec.MaxEntries && !h.evict() {
			return -e2big
		}
		at = h.insert(key)
	} else if h.cpus == 1 {
		// The kernel puts a new element in place: who holds the old value keeps it.
		at.Value.(*element).values[0] = h.value()
	}
	values := at.Value.(*element).values
	copy(values[cpu%len(values)].Data, value)
	if h.evicts {
		h.ordered.MoveToBack(at)
	}
	return 0
}

// permits tells whether flags allow an update of what exists or does not.
func permits(flags uint64, exists bool) int64 {
	switch {
	case flags > exist:
		return -einval
	case flags == noExist && exists:
		return -eexist
	case flags == exist && !exists:
		return -enoent
	}
	return 0
}

func (h *hash) evict() bool {
	if h.evicts {
		h.remove(h.ordered.Front().Value.(*element).key)
	}
	return h.evicts
}

func (h *hash) insert(key []byte) *list.Element {
	e := &element{key: append([]byte(nil), key...)}
	for range h.cpus {
		e.values = append(e.values, h.value())
	}
	at := h.ordered.PushBack(e)
	h.byKey[string(key)] = at
	return at
}

func (h *hash) value() *Region {
	r := h.m.Region(MapValue, h.spec.Name, h.spec.ValueSize)
	r.ReadOnly = h.spec.ReadOnly
	return r
}

// remove leaves the value to whoever holds a pointer to it, as the kernel does for the time
// of a run.
func (h *hash) remove(key []byte) int64 {
	at := h.byKey[string(key)]
	if at == nil {
		return -enoent
	}
	h.ordered.Remove(at)
	delete(h.byKey, string(key))
	return 0
}

func (h *hash) keys() iter.Seq[[]byte] {
	var keys [][]byte
	for at := h.ordered.Front(); at != nil; at = at.Next() {
		keys = append(keys, append([]byte(nil), at.Value.(*element).key...))
	}
	return slices.Values(keys)
}
