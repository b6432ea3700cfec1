// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"fmt"
	"strings"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/trace/host"
)

var mapTypes = map[bt.MapKind]kern.MapType{
	bt.Hash: kern.HashMap, bt.PerCPUHash: kern.PerCPUHashMap, bt.LRUHash: kern.LRUHashMap, bt.LRUPerCPUHash: kern.LRUPerCPUHashMap,
	bt.Array: kern.ArrayMap, bt.PerCPUArray: kern.PerCPUArrayMap, bt.Ring: kern.RingMap, bt.StackTrace: kern.StackMap,
}

func (s *Session) load() error {
	spec := kern.GroupSpec{Shared: s.options.Shared}
	for _, m := range s.script.Maps {
		if m.Kind == bt.Shared {
			continue
		}
		spec.Maps = append(spec.Maps, kern.GroupMap{Name: m.Name, Type: mapTypes[m.Kind], KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries})
	}
	for i, p := range s.script.Probes {
		program, err := s.program(p, s.codes[i])
		if err != nil {
			return err
		}
		spec.Programs = append(spec.Programs, program)
	}
	group, err := kern.LoadGroup(spec, s.host.Types)
	var refused *kern.Refused
	if errors.As(err, &refused) {
		return &Rejected{Pos: s.position(refused), Verdict: refused.Verdict, GaveUp: refused.GaveUp,
			NotHere: strings.Contains(refused.Verdict, "helper call is not allowed"), Log: refused.Log, Cause: err}
	}
	s.group = group
	return err
}

// position is the place in the script that a refused instruction comes from.
func (s *Session) position(r *kern.Refused) compile.Pos {
	positions := s.codes[r.Program].Positions
	if r.Instruction >= 0 && r.Instruction < len(positions) && positions[r.Instruction].Line > 0 {
		return positions[r.Instruction]
	}
	return s.script.Probes[r.Program].Pos
}

// programName is what lists of programs (bpftool prog) have. The kernel takes 15 letters, which
// are for the function's name rather than for the words before it.
func programName(probe string) string {
	if function := probe[strings.LastIndexByte(probe, ':')+1:]; strings.TrimLeft(function, "0123456789") != "" {
		return "bt_" + function
	}
	return "bt_" + probe
}

func (s *Session) program(p bt.Probe, code *compile.Code) (kern.GroupProgram, error) {
	out := kern.GroupProgram{Name: programName(p.Targets[0].Name), Hook: host.Hook(p.Kind), Instructions: code.Instructions}
	needsCookie := len(p.Targets) > 1 && kern.Calls(code.Instructions, host.AttachCookie)
	for _, t := range p.Targets {
		place, err := s.host.Place(p.Kind, t)
		if err != nil {
			return out, err
		}
		place.NeedsCookie = needsCookie
		out.Places = append(out.Places, place)
	}
	return out, nil
}

// checkMaps refuses maps that would take more memory than a script may: the kernel makes
// them whole, and what it cannot have it takes from the agent.
func checkMaps(script *bt.Script, options Options) error {
	cpus, err := kern.CPUs()
	if err != nil {
		return err
	}
	total := 0
	for _, m := range script.Maps {
		if m.Kind == bt.Shared {
			continue
		}
		if m.MaxEntries > options.MapEntries && m.Kind != bt.Ring {
			return fmt.Errorf("map %s would have %d entries, and may have %d: set max_map_keys, or the size in its declaration", m.Name, m.MaxEntries, options.MapEntries)
		}
		total += mapBytes(m, cpus)
	}
	if total > options.MapBytes {
		return fmt.Errorf("the maps of the script would take %d MiB of memory, and may take %d: set a smaller max_map_keys", total>>20, options.MapBytes>>20)
	}
	return nil
}

// mapBytes is about what a map takes in the kernel, in bytes.
func mapBytes(m bt.Map, cpus int) int {
	const element = 48 // struct htab_elem, and its bucket
	each := element + m.KeySize + m.ValueSize
	switch m.Kind {
	case bt.Ring:
		return m.MaxEntries
	case bt.PerCPUHash, bt.LRUPerCPUHash, bt.PerCPUArray:
		each += m.ValueSize * (cpus - 1)
	}
	return m.MaxEntries * each
}
