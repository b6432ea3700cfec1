// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/compile"
)

// probeList gathers probes as clients are told them: one that runs on several others instead
// of its own kind is told once.
type probeList struct {
	probes  []*skepv1.TraceProbe
	instead map[probeKey]*instead
}

type probeKey struct {
	pos  compile.Pos
	name string
}

// instead is what a probe runs on, and in which cases that is not the same.
type instead struct {
	probe       *skepv1.TraceProbe
	on, differs []string
}

// add adds a probe, and returns it unless it is another place of one that was added before.
func (l *probeList) add(pos compile.Pos, name, via, differs string) *skepv1.TraceProbe {
	key := probeKey{pos, name}
	known := l.instead[key]
	if known == nil {
		known = &instead{probe: &skepv1.TraceProbe{Name: valid(name)}}
		l.probes = append(l.probes, known.probe)
		if via == "" {
			return known.probe
		}
		if l.instead == nil {
			l.instead = map[probeKey]*instead{}
		}
		l.instead[key] = known
	}
	known.on = append(known.on, via)
	if differs != "" && !slices.Contains(known.differs, differs) {
		known.differs = append(known.differs, differs)
	}
	kind, _, _ := strings.Cut(name, ":")
	known.probe.Via = valid(strings.Join(known.on, " and ") + ", as this kernel has no " + kind + " for it")
	if len(known.differs) > 0 {
		known.probe.Via += valid(" (" + strings.Join(known.differs, "; ") + ")")
	}
	return known.probe
}

func traceProbes(script *bt.Script) []*skepv1.TraceProbe {
	var l probeList
	for _, p := range script.Probes {
		for _, t := range p.Targets {
			l.add(p.Pos, t.Name, t.Via, t.Differs)
		}
	}
	return l.probes
}
