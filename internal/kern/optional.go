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
// Who looks at the other programs meanwhile does not wait: the kernel may take its time.
func (k *Kernel) Detach(s Sensor) {
	k.attaching.Lock()
	defer k.attaching.Unlock()
	programs, pinned := k.takeOut(s)
	for _, p := range slices.Backward(programs) {
		p.remove()
	}
	if !pinned {
		return
	}
	for _, ladder := range s.Ladders {
		for i := range ladder.Rungs {
			if err := os.RemoveAll(k.linkDir(ladder, &ladder.Rungs[i])); err != nil {
				k.options.Logger.Warn("programs of an earlier agent not removed", "signal", ladder.Signal, "rung", ladder.Rungs[i].Name, "error", err)
			}
		}
	}
}

// takeOut has nobody look at the programs of a sensor's rungs any more, and returns them,
// and whether an earlier agent may have left some.
func (k *Kernel) takeOut(s Sensor) (programs []*Program, pinned bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var stay []*Program
	for _, p := range k.programs {
		if p.sensor == s.Name && s.has(p.signal, p.rung) {
			programs = append(programs, p)
		} else {
			stay = append(stay, p)
		}
	}
	k.programs = stay
	return programs, k.adopted && !k.loose[s.Name]
}

func (s Sensor) has(signal, rung string) bool {
	return slices.ContainsFunc(s.Ladders, func(l Ladder) bool {
		return l.Signal == signal && slices.ContainsFunc(l.Rungs, func(r Rung) bool { return r.Name == rung })
	})
}
