// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Stats are the kernel's run-time statistics of every program, with the number of the
// program in the spec. What the links of a program have missed counts as missed by its first.
func (g *Group) Stats() map[int][]ProgramStats {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	all := map[int][]ProgramStats{}
	for i, units := range g.programs {
		for _, u := range units {
			for _, program := range []*ebpf.Program{u.program, u.other} {
				if program != nil {
					all[i] = append(all[i], statsOf(program, g.spec.Programs[i].Name, u.places[0].Name))
				}
			}
		}
		if len(all[i]) > 0 {
			all[i][0].Missed += g.missed[i]
		}
	}
	for _, a := range g.attached {
		if len(all[a.number]) > 0 {
			all[a.number][0].Missed += g.missedBy(a)
		}
	}
	return all
}

func statsOf(program *ebpf.Program, name, hook string) ProgramStats {
	s := ProgramStats{Name: name, Hook: hook}
	if info, err := program.Info(); err == nil {
		id, _ := info.ID()
		s.ID = uint32(id)
		s.Instructions, _ = info.VerifiedInstructions()
	}
	if stats, err := program.Stats(); err == nil {
		s.Runs, s.RunTime, s.Missed = stats.RunCount, stats.Runtime, stats.RecursionMisses
	}
	return s
}

// missedBy is how often probes of functions were not run though the function was: one probe
// was passed inside of another, or more calls than the kernel keeps returns of were under way
// (6.7).
func (g *Group) missedBy(a *attachment) (n uint64) {
	if hook := g.spec.Programs[a.number].Hook; hook != Kprobe && hook != Kretprobe {
		return 0
	}
	for _, c := range a.closers {
		l, ok := c.(link.Link)
		if !ok {
			continue
		}
		info, err := l.Info()
		if err != nil {
			continue
		}
		if multi := info.KprobeMulti(); multi != nil {
			n += multi.Missed
		}
		if event := info.PerfEvent(); event != nil && event.Kprobe() != nil {
			n += event.Kprobe().Missed
		}
	}
	return n
}

// keepMissed remembers what an attachment has missed, before it is gone.
func (g *Group) keepMissed(a *attachment) {
	n := g.missedBy(a)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.missed[a.number] += n
}
