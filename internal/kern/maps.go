// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
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

// mapSpecs are all maps that the objects name. Maps of constants belong to one rung and
// are made when it is loaded.
func (k *Kernel) mapSpecs() map[string]*ebpf.MapSpec {
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
	return specs
}

// openMaps adopts the pinned maps, all of them, or makes them all. If only some can be
// adopted, because a start was killed half-way or somebody meddled, they are taken away
// with the programs that use them: new maps beside old programs would never meet.
func (k *Kernel) openMaps() error {
	specs := k.mapSpecs()
	if k.dir == "" {
		return k.createMaps(specs)
	}
	pins, err := k.adoptMaps(specs)
	if err == nil {
		k.adopted = true
		return nil
	}
	links, _ := os.ReadDir(filepath.Join(k.dir, "links"))
	if pins+len(links) > 0 {
		k.options.Logger.Warn("the last agent's kernel side is damaged and not taken over: starting anew", "directory", k.dir, "error", err)
		left, err := takeAway(k.dir, math.MaxUint64)
		if err != nil {
			return fmt.Errorf("take away a damaged kernel side: %w", err)
		}
		k.broken = &left
		if err := makeDirs(k.dir, filepath.Join(k.dir, "maps"), filepath.Join(k.dir, "links")); err != nil {
			return err
		}
	}
	return k.createMaps(specs)
}

// adoptMaps opens the pins of all maps, or of none, and says how many pins there are.
func (k *Kernel) adoptMaps(specs map[string]*ebpf.MapSpec) (pins int, failed error) {
	maps := map[string]*ebpf.Map{}
	for _, name := range sortedKeys(specs) {
		m, err := ebpf.LoadPinnedMap(k.mapPin(name), nil)
		if !errors.Is(err, fs.ErrNotExist) {
			pins++
		}
		if err == nil {
			maps[name] = m
			err = specs[name].Compatible(m)
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("adopt map %s: %w", name, err)
		}
	}
	if failed == nil {
		k.maps = maps
		return pins, nil
	}
	for _, m := range maps {
		m.Close()
	}
	return pins, failed
}

func (k *Kernel) createMaps(specs map[string]*ebpf.MapSpec) error {
	for _, name := range sortedKeys(specs) {
		m, err := ebpf.NewMap(specs[name])
		if err != nil {
			return fmt.Errorf("create map %s: %w%s", name, err, memlockHint(err))
		}
		k.maps[name] = m
		if k.dir == "" {
			continue
		}
		if err := m.Pin(k.mapPin(name)); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	return nil
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
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if m := k.maps[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("find map %s: %w", name, fs.ErrNotExist)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
