// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// CPUs is how many values a per-CPU map has for each key.
func CPUs() (int, error) {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return 0, fmt.Errorf("count CPUs: %w", err)
	}
	return n, nil
}

func (g *Group) mapOf(name string) (*ebpf.Map, error) {
	m := g.maps[name]
	if m == nil {
		return nil, fmt.Errorf("read map %s: the group has none of that name", name)
	}
	return m, nil
}

func perCPU(m *ebpf.Map) bool {
	return m.Type() == ebpf.PerCPUHash || m.Type() == ebpf.LRUCPUHash || m.Type() == ebpf.PerCPUArray
}

// Each calls fn with every entry of a map: its key, and its value, of a per-CPU map one for
// each CPU. They are fn's to keep. An entry that is written meanwhile comes as it was or as
// it is; one that is deleted meanwhile may not come.
func (g *Group) Each(name string, fn func(key []byte, values [][]byte)) error {
	m, err := g.mapOf(name)
	if err != nil {
		return err
	}
	keys, err := keysOf(m)
	if err != nil {
		return fmt.Errorf("list map %s: %w", name, err)
	}
	for _, key := range keys {
		values, err := lookup(m, key)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read map %s: %w", name, err)
		}
		fn(key, values)
	}
	return nil
}

// keysOf lists all keys, each once. A key that goes while its successor is asked for sends
// the walk to the beginning.
func keysOf(m *ebpf.Map) ([][]byte, error) {
	if m.Type() == ebpf.Array || m.Type() == ebpf.PerCPUArray {
		return arrayKeys(m), nil
	}
	seen := map[string]bool{}
	var keys [][]byte
	var last any // nil: the first
	for steps := 0; steps < 4*int(m.MaxEntries())+16; steps++ {
		key := make([]byte, m.KeySize())
		err := m.NextKey(last, key)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			keys = append(keys, key)
		}
		last = key
	}
	return keys, nil // it changes faster than it is read
}

func arrayKeys(m *ebpf.Map) [][]byte {
	var keys [][]byte
	for i := range m.MaxEntries() {
		keys = append(keys, binary.NativeEndian.AppendUint32(nil, i))
	}
	return keys
}

func lookup(m *ebpf.Map, key []byte) ([][]byte, error) {
	if perCPU(m) {
		var values [][]byte
		err := m.Lookup(key, &values)
		return values, err
	}
	value, err := m.LookupBytes(key)
	if err == nil && value == nil {
		err = ebpf.ErrKeyNotExist
	}
	return [][]byte{value}, err
}

// Lookup is the value of a key, of a per-CPU map one for each CPU; nil if there is none.
func (g *Group) Lookup(name string, key []byte) ([][]byte, error) {
	m, err := g.mapOf(name)
	if err != nil {
		return nil, err
	}
	values, err := lookup(m, key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read map %s: %w", name, err)
	}
	return values, nil
}

// Len is how many entries a map has.
func (g *Group) Len(name string) (int, error) {
	m, err := g.mapOf(name)
	if err != nil {
		return 0, err
	}
	keys, err := keysOf(m)
	if err != nil {
		return 0, fmt.Errorf("list map %s: %w", name, err)
	}
	return len(keys), nil
}

// Take is [Group.Each] and [Group.Clear] in one step for each entry, where the kernel has one
// (hashes: 5.14). What a program adds to an entry that it has found before is lost with it.
func (g *Group) Take(name string, fn func(key []byte, values [][]byte)) error {
	return g.change(name, func(m *ebpf.Map, key []byte) error {
		values, err := take(m, key)
		if err == nil {
			fn(key, values)
		}
		return err
	})
}

func take(m *ebpf.Map, key []byte) (values [][]byte, err error) {
	if m.Type() != ebpf.Array && m.Type() != ebpf.PerCPUArray {
		if perCPU(m) {
			err = m.LookupAndDelete(key, &values)
		} else {
			value := make([]byte, m.ValueSize())
			err, values = m.LookupAndDelete(key, value), [][]byte{value}
		}
		if err == nil || errors.Is(err, ebpf.ErrKeyNotExist) {
			return values, err
		}
	}
	if values, err = lookup(m, key); err != nil {
		return nil, err
	}
	return values, remove(m, key)
}

// Set writes the value of a key, of a per-CPU map on every CPU.
func (g *Group) Set(name string, key, value []byte) error {
	m, err := g.mapOf(name)
	if err != nil {
		return err
	}
	if err := put(m, key, value); err != nil {
		return fmt.Errorf("write map %s: %w", name, err)
	}
	return nil
}

func put(m *ebpf.Map, key, value []byte) error {
	if !perCPU(m) {
		return m.Put(key, value)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return m.Put(key, slices.Repeat([][]byte{value}, cpus))
}

// Clear deletes every entry of a map; of an array it sets them to 0.
func (g *Group) Clear(name string) error {
	return g.change(name, remove)
}

func remove(m *ebpf.Map, key []byte) error {
	if m.Type() == ebpf.Array || m.Type() == ebpf.PerCPUArray {
		return put(m, key, make([]byte, m.ValueSize()))
	}
	return m.Delete(key)
}

// Zero sets the value of every entry to 0.
func (g *Group) Zero(name string) error {
	return g.change(name, func(m *ebpf.Map, key []byte) error { return put(m, key, make([]byte, m.ValueSize())) })
}

func (g *Group) change(name string, fn func(*ebpf.Map, []byte) error) error {
	m, err := g.mapOf(name)
	if err != nil {
		return err
	}
	keys, err := keysOf(m)
	if err != nil {
		return fmt.Errorf("list map %s: %w", name, err)
	}
	for _, key := range keys {
		if err := fn(m, key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("change map %s: %w", name, err)
		}
	}
	return nil
}
