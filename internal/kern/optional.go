// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
)

// Add makes the maps of a sensor that [Open] was not given, so that it can be attached
// while the agent runs. Nothing of it is pinned: it ends with the agent. A sensor that is
// there already is left as it is.
func (k *Kernel) Add(s Sensor) error {
	if k.specs[s.Name] != nil {
		return nil
	}
	if err := k.parse([]Sensor{s}); err != nil {
		return err
	}
	made := map[string]*ebpf.Map{}
	for name, spec := range k.specs[s.Name].Maps {
		if _, err := k.Map(name); err == nil || strings.HasPrefix(name, ".") {
			continue
		}
		m, err := ebpf.NewMap(spec)
		if err != nil {
			for _, m := range made {
				m.Close()
			}
			k.mutex.Lock()
			delete(k.specs, s.Name)
			k.mutex.Unlock()
			return fmt.Errorf("create map %s: %w%s", name, err, memlockHint(err))
		}
		made[name] = m
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.loose[s.Name] = true
	for name, m := range made {
		k.maps[name] = m
	}
	return nil
}

// Detach takes the programs of a sensor off, and their pins away. Its maps stay until the
// agent ends, and it may be attached again.
func (k *Kernel) Detach(s Sensor) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var stay []*Program
	for i := len(k.programs) - 1; i >= 0; i-- {
		if p := k.programs[i]; p.sensor == s.Name {
			p.remove()
		}
	}
	for _, p := range k.programs {
		if p.sensor != s.Name {
			stay = append(stay, p)
		}
	}
	k.programs = stay
}
