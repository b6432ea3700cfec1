// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"os"
	"slices"
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

// Detach takes the programs of a sensor's rungs off, and their pins away, also those that an
// earlier agent has left. Its maps stay until the agent ends, and it may be attached again.
func (k *Kernel) Detach(s Sensor) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, ladder := range s.Ladders {
		for i := range ladder.Rungs {
			k.detachRung(s, ladder, &ladder.Rungs[i])
		}
	}
}

func (k *Kernel) detachRung(s Sensor, ladder Ladder, rung *Rung) {
	var stay []*Program
	for _, p := range slices.Backward(k.programs) {
		if p.sensor == s.Name && p.signal == ladder.Signal && p.rung == rung.Name {
			p.remove()
		} else {
			stay = append(stay, p)
		}
	}
	slices.Reverse(stay)
	k.programs = stay
	if k.adopted && !k.loose[s.Name] {
		if err := os.RemoveAll(k.linkDir(ladder, rung)); err != nil {
			k.options.Logger.Warn("programs of an earlier agent not removed", "signal", ladder.Signal, "rung", rung.Name, "error", err)
		}
	}
}
