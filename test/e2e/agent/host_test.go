// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHostCallsTakenOver: the next agent takes over what is still wanted of the host
// sensor, and takes the rest off.
func TestHostCallsTakenOver(t *testing.T) {
	h := newHouse(t)
	plain := h.yaml
	wanted := func(calls string) { h.yaml = plain + "sensors: {host: {calls: [" + calls + "]}}\n" }
	wanted("kill, memfd, setuid")
	first := h.start()
	before := hostPrograms(first)
	if len(before) < 2 {
		t.Fatalf("of three groups there are the programs %v", before)
	}
	first.kill()
	wanted("kill, setuid")
	second := h.start()
	after := hostPrograms(second)
	for name, id := range after {
		if before[name] != id {
			t.Errorf("%s was attached anew", name)
		}
	}
	if !slices.Contains(second.rungs("memfd"), "off") {
		t.Errorf("memfd is %v", second.rungs("memfd"))
	}
	second.kill()
	wanted("")
	third := h.start()
	if left := hostPrograms(third); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	pins, err := filepath.Glob(h.pins + "/*/links/*/host*")
	if err != nil || len(pins) > 0 {
		t.Errorf("these links are left: %v %v", pins, err)
	}
	third.stop()
}

// hostPrograms are the programs of the host sensor in the status, with their ids.
func hostPrograms(a *agent) map[string]uint32 {
	programs := map[string]uint32{}
	for _, p := range a.status().Programs {
		if strings.HasPrefix(p.Name, "host") {
			programs[p.Name] = p.Id
		}
	}
	return programs
}

// rungs are the states of a signal's rungs.
func (a *agent) rungs(signal string) (states []string) {
	for _, s := range a.status().Signals {
		for _, r := range s.Rungs {
			if s.Signal == signal {
				states = append(states, r.State)
			}
		}
	}
	return states
}
