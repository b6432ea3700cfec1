// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Entries reads a hash map in which the kernel side counts, from one goroutine.
type Entries[K comparable, V any] struct {
	m      *ebpf.Map
	name   string
	keys   []K
	values []V
}

// entriesBatch is how many entries are copied at a time: far more than one bucket has.
const entriesBatch = 1024

// NewEntries opens a shared map by its name.
func NewEntries[K comparable, V any](k *Kernel, name string) (*Entries[K, V], error) {
	m, err := k.Map(name)
	if err != nil {
		return nil, err
	}
	return &Entries[K, V]{m: m, name: name}, nil
}

// Each calls fn with every entry. One that is there all the while comes just once; what fn
// is given is valid during the call only.
func (e *Entries[K, V]) Each(fn func(*K, *V)) error {
	if e.keys == nil {
		e.keys, e.values = make([]K, entriesBatch), make([]V, entriesBatch)
	}
	var cursor ebpf.MapBatchCursor
	for {
		n, err := e.m.BatchLookup(&cursor, e.keys, e.values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("list map %s: %w", e.name, err)
		}
		for i := range n {
			fn(&e.keys[i], &e.values[i])
		}
		if err != nil {
			return nil
		}
	}
}

// Take deletes an entry and returns what it held; ok is false if there is none.
func (e *Entries[K, V]) Take(key *K) (value V, ok bool, err error) {
	err = e.m.LookupAndDelete(key, &value)
	if errors.Is(err, ebpf.ErrNotSupported) { // before 5.14
		if err = e.m.Lookup(key, &value); err == nil {
			err = e.m.Delete(key)
		}
	}
	switch {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return value, false, nil
	case err != nil:
		return value, false, fmt.Errorf("take an entry of map %s: %w", e.name, err)
	}
	return value, true, nil
}
