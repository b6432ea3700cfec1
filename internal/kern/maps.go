// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// stateMap holds what the agent itself must not forget when it is killed. It is
// mapped into the agent: a store reaches the kernel's page at once.
const stateMap = "agent_state"

// createMaps makes every map that the objects name, or opens its pin. Maps of
// constants belong to one rung and are made when it is loaded.
func (k *Kernel) createMaps() error {
	specs := map[string]*ebpf.MapSpec{stateMap: {
		Name: stateMap, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: stateWords, Flags: unix.BPF_F_MMAPABLE,
	}}
	for _, name := range sortedKeys(k.specs) {
		for mapName, m := range k.specs[name].Maps {
			if !strings.HasPrefix(mapName, ".") {
				specs[mapName] = m
			}
		}
	}
	for _, name := range sortedKeys(specs) {
		m, err := k.openMap(name, specs[name])
		if err != nil {
			return err
		}
		k.maps[name] = m
	}
	return nil
}

func (k *Kernel) openMap(name string, spec *ebpf.MapSpec) (*ebpf.Map, error) {
	if k.dir != "" {
		m, err := ebpf.LoadPinnedMap(k.mapPin(name), nil)
		if err == nil {
			k.adopted = true
			return m, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("adopt map %s: %w; remove %s if no agent runs", name, err, k.dir)
		}
	}
	m, err := ebpf.NewMapWithOptions(spec, ebpf.MapOptions{})
	if err != nil {
		return nil, fmt.Errorf("create map %s: %w%s", name, err, memlockHint(err))
	}
	if k.dir != "" {
		if err := m.Pin(k.mapPin(name)); err != nil {
			return nil, errors.Join(fmt.Errorf("pin map %s: %w", name, err), m.Close())
		}
	}
	return m, nil
}

// Before 5.11 BPF memory counts against RLIMIT_MEMLOCK and the refusal is EPERM.
func memlockHint(err error) string {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM) {
		return "; before Linux 5.11 this needs RLIMIT_MEMLOCK=infinity (LimitMEMLOCK= of the unit)"
	}
	return ""
}

func (k *Kernel) mapPin(name string) string { return filepath.Join(k.dir, "maps", name) }

// Map returns a shared map by its name.
func (k *Kernel) Map(name string) (*ebpf.Map, error) {
	if m := k.maps[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("find map %s: %w", name, fs.ErrNotExist)
}

func makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make pin directory: %w", err)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
