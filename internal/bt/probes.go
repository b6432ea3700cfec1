// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"errors"
	"path"
	"slices"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// kindNames are the providers of attach points, by their long names.
func providerKinds() map[string]ProbeKind {
	return map[string]ProbeKind{
		"begin": Begin, "end": End, "self": Self, "interval": Interval, "profile": Profile,
		"tracepoint": Tracepoint, "rawtracepoint": RawTracepoint, "kprobe": Kprobe, "kretprobe": Kretprobe,
		"uprobe": Uprobe, "uretprobe": Uretprobe, "usdt": USDT, "fentry": Fentry, "fexit": Fexit, "iter": Iterator,
		"software": Software, "hardware": Hardware, "watchpoint": Watchpoint, "asyncwatchpoint": AsyncWatchpoint,
	}
}

// kindName is the provider's name of a kind.
func kindName(kind ProbeKind) string {
	for name, k := range providerKinds() {
		if k == kind {
			return name
		}
	}
	return "unknown"
}

// expandProbes finds the places of all attach points. A probe has one unit for each kind.
func (s *script) expandProbes() {
	count := 0
	for _, probe := range s.program.Probes {
		var all []Target
		watches := false // an argument of a function
		for _, point := range probe.Points {
			for _, kind := range s.kindsOf(point) {
				targets := s.targetsOf(kind, point)
				if count += len(targets); count > s.limits.MaxProbes {
					s.errorf(point.Pos, "the script has more than %d probes (max_probes)", s.limits.MaxProbes)
					return
				}
				if kind == Watchpoint || kind == AsyncWatchpoint {
					watches = s.addWatchpoints(kind, probe, &targets) || watches
				}
				for _, t := range targets {
					t.kind = kind
					all = append(all, t)
				}
			}
		}
		placed := len(all) > 0 || watches
		s.addTargets(probe, s.withoutAliases(all))
		if !placed {
			s.withoutPlace(probe)
		}
	}
	if len(s.units) == 0 && len(s.problems) == 0 {
		s.problem(Diagnostic{Text: "the script has no probe that could be attached", Reference: "No probes to attach"})
	}
}

// withoutPlace notes the maps that a probe would assign to: they are known, and stay empty
// if no other does.
func (s *script) withoutPlace(probe *syntax.Probe) {
	note := func(x syntax.Expr) {
		if m, ok := x.(*syntax.Map); ok {
			s.empty[m.Name] = true
		}
	}
	syntaxWalk(probe.Body, func(n syntax.Node) {
		switch n := n.(type) {
		case *syntax.Assign:
			note(n.Target)
		case *syntax.Step:
			note(n.X)
		}
	})
}

// unitKey is what the targets of a unit have in common: how they are attached, and what they
// stand for.
type unitKey struct {
	kind  ProbeKind
	stand stand
}

func (s *script) addTargets(probe *syntax.Probe, targets []Target) {
	units := map[unitKey]*unit{}
	for _, t := range targets {
		key := unitKey{kind: t.kind}
		if t.stand != nil {
			key = unitKey{t.stand.on, *t.stand}
		}
		u := units[key]
		if u == nil {
			u = newUnit(key.kind, probe, probe.Pos, nil)
			u.stand = t.stand
			units[key] = u
			s.units = append(s.units, u)
		}
		u.targets = append(u.targets, t)
	}
}

// kindsOf are the kinds that a provider names, more than one if it is a pattern.
func (s *script) kindsOf(point *syntax.AttachPoint) []ProbeKind {
	known := providerKinds()
	if kind, ok := known[point.Provider]; ok {
		return []ProbeKind{kind}
	}
	var kinds []ProbeKind
	for _, name := range sortedNames(known) {
		if ok, err := path.Match(point.Provider, name); err == nil && ok && known[name] >= Tracepoint {
			kinds = append(kinds, known[name])
		}
	}
	if len(kinds) == 0 {
		s.hintf(point.Pos, nearest(point.Provider, sortedNames(known)), "there is no type of probe %s", point.Provider)
	}
	slices.Sort(kinds)
	return kinds
}

// targetsOf are the places that an attach point names.
func (s *script) targetsOf(kind ProbeKind, point *syntax.AttachPoint) []Target {
	pattern := s.pattern(kind, point)
	switch kind {
	case Begin, End:
		pattern.Name = map[ProbeKind]string{Begin: "BEGIN", End: "END"}[kind]
		if point.Text == "begin" || point.Text == "end" { // as it was written
			pattern.Name = point.Text
		}
		return []Target{pattern}
	case Self:
		return []Target{pattern}
	case Interval, Profile:
		if pattern.Period == 0 {
			s.errorf(point.Pos, "%s must have a period above 0", point.Text)
			return nil
		}
		return []Target{pattern}
	}
	targets, err := s.targetsOn(kind, pattern)
	none := (*NoModule)(nil)
	if err != nil && !errors.As(err, &none) {
		if others := s.instead(kind, pattern); len(others) > 0 {
			return others
		}
	}
	if err != nil || len(targets) == 0 {
		s.missing(point, kind, pattern, err)
	}
	return targets
}

// missing reports an attach point without a place. One with a wildcard may match nothing
// where others do not.
func (s *script) missing(point *syntax.AttachPoint, kind ProbeKind, pattern Target, cause error) {
	why := ""
	if cause != nil {
		why = ": " + cause.Error()
	}
	wild := syntax.HasWildcard(point.Text)
	if (wild || s.manyPoints()) && s.limits.MissingProbe != "error" {
		if s.limits.MissingProbe == "warn" {
			d := Diagnostic{Pos: point.Pos, Text: "no probe matches " + point.Text + why, Reference: missingWarning(kind, point)}
			s.warning(d)
			s.unmatched = append(s.unmatched, d)
		}
		return
	}
	hint := ""
	if !wild {
		if near := s.host.Nearby(kind, pattern); len(near) > 0 {
			hint = "did you mean " + near[0] + "?"
		}
	}
	s.problem(Diagnostic{Pos: point.Pos, Text: "there is no probe " + point.Text + why, Hint: hint, Reference: missingError(kind, point, cause)})
}

// missingWarning and missingError are what bpftrace says of a probe that is not there.
func missingWarning(kind ProbeKind, point *syntax.AttachPoint) string {
	switch kind {
	case Kprobe, Kretprobe:
		return "WARNING: could not attach probe " + point.Text + ", skipping."
	case Uprobe, Uretprobe:
		return "WARNING: Could not resolve symbol: " + point.Path + ":" + point.Function + ", skipping probe."
	case Fentry, Fexit:
		return "WARNING: No BTF found for " + point.Function + ", skipping."
	}
	return ""
}

func missingError(kind ProbeKind, point *syntax.AttachPoint, cause error) string {
	switch kind {
	case Tracepoint:
		return "tracepoint not found: " + point.Category + ":" + point.Event
	case RawTracepoint:
		return "ERROR: Probe does not exist: " + point.Text
	case Kprobe, Kretprobe:
		text := "ERROR: Error attaching probe: " + point.Text
		none := (*NoModule)(nil)
		if errors.As(cause, &none) {
			text += ": specified module " + none.Module + " in probe " + point.Text + " is not loaded."
		}
		return text
	case Uprobe, Uretprobe:
		return "ERROR: Could not resolve symbol: " + point.Path + ":" + point.Function + ", cannot attach probe."
	case Fentry, Fexit:
		return "ERROR: No BTF found for " + point.Function
	}
	return ""
}

// manyPoints tells whether the script has more than one attach point, so that something
// is left where one matches nothing.
func (s *script) manyPoints() bool {
	count := 0
	for _, p := range s.program.Probes {
		count += len(p.Points)
	}
	return count > 1
}

// pattern is an attach point as the host is asked for it.
func (s *script) pattern(kind ProbeKind, point *syntax.AttachPoint) Target {
	t := Target{
		Name: point.Text, Category: point.Category, Event: point.Event, Function: point.Function,
		Module: point.Module, Binary: point.Path, Offset: point.Offset, Mode: point.Mode, PID: s.options.PID,
		Language: point.Language, Argument: point.Argument, Directory: s.options.Directory, Unsafe: s.options.Unsafe,
	}
	if point.HasAddress {
		t.Offset = point.Address
	}
	switch kind {
	case Interval, Profile:
		t.Period = period(point.Unit, point.Count)
	case Software, Hardware:
		t.Period = point.Count
	case Watchpoint, AsyncWatchpoint:
		t.Period = point.Length
		if t.PID == 0 {
			t.PID = s.options.ChildPID
		}
	case USDT:
		t.Provider, t.Category = point.Category, ""
	}
	if point.BPF {
		t.Category, t.Offset = "bpf", uint64(point.ID)
	}
	return t
}

// period of a timer in nanoseconds.
func period(unit string, count uint64) uint64 {
	units := map[string]uint64{"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1}
	if unit == "hz" {
		if count == 0 {
			return 0
		}
		return 1e9 / count
	}
	return count * units[unit]
}
