// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Put sets entries of a map. What else is in it stays.
func Put[K comparable, V any](k *Kernel, name string, entries map[K]V) error {
	m, err := k.Map(name)
	if err != nil {
		return err
	}
	for key, value := range entries {
		if err := m.Put(key, value); err != nil {
			return fmt.Errorf("set an entry of map %s: %w", name, err)
		}
	}
	return nil
}

// Keep deletes what a map has beside the given entries.
func Keep[K comparable, V any](k *Kernel, name string, entries map[K]V) error {
	m, err := k.Map(name)
	if err != nil {
		return err
	}
	var key K
	var value V
	var others []K
	iterator := m.Iterate()
	for iterator.Next(&key, &value) {
		if _, wanted := entries[key]; !wanted {
			others = append(others, key)
		}
	}
	if err := iterator.Err(); err != nil {
		return fmt.Errorf("list map %s: %w", name, err)
	}
	for _, key := range others {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete an entry of map %s: %w", name, err)
		}
	}
	return nil
}
