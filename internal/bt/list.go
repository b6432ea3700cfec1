// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"path"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// Listed is a place that could be probed.
type Listed struct {
	Name string
	// Via is what it runs on where that is not what Name says, and Differs in which cases
	// that is not the same; else "".
	Via, Differs string
	// Members are what it has to offer: fields of a tracepoint, arguments of a function,
	// and what the function returns as the last one, named retval.
	Members []Member
}

// List hands each place that attach points name to yield, until that returns false. A
// pattern that matches nothing is none of its errors. With members, each comes with what it
// has to offer. Of the options those count that say which places there are.
func List(points []*syntax.AttachPoint, host Host, options Options, members bool, yield func(Listed) bool) []Diagnostic {
	s := newScript(&syntax.Program{}, host, options)
	for _, point := range points {
		for _, kind := range s.kindsOf(point) {
			targets, err := s.listed(kind, point)
			if err != nil {
				s.errorf(point.Pos, "%s: %v", point.Text, err)
			}
			for _, t := range targets {
				one := Listed{Name: t.Name, Via: t.Via, Differs: t.Differs}
				if members {
					one.Members = s.offers(kind, t)
				}
				if !yield(one) {
					return s.problems
				}
			}
		}
	}
	return s.problems
}

func (s *script) listed(kind ProbeKind, point *syntax.AttachPoint) ([]Target, error) {
	pattern := s.pattern(kind, point)
	switch kind {
	case Begin, End, Self: // they are wherever one wants them
		return []Target{pattern}, nil
	case Interval, Profile:
		return timers(kind, point.Unit), nil
	}
	if kind == Software || kind == Hardware { // how many of them make one is not part of the name
		pattern.Period = 0
	}
	targets, err := s.targetsOn(kind, pattern)
	if err != nil {
		if others := s.instead(kind, pattern); len(others) > 0 {
			return others, nil
		}
	}
	return targets, err
}

// timers are the units of a timer that a pattern names.
func timers(kind ProbeKind, pattern string) []Target {
	var found []Target
	for _, unit := range []string{"hz", "ms", "s", "us"} {
		if ok, err := path.Match(pattern, unit); err == nil && ok {
			found = append(found, Target{Name: kindName(kind) + ":" + unit + ":"})
		}
	}
	return found
}

func (s *script) offers(kind ProbeKind, t Target) []Member {
	if kind == Tracepoint {
		members, _ := s.host.Tracepoint(t.Category, t.Event)
		return members
	}
	signature, ok := s.host.Signature(kind, t)
	if !ok {
		return nil
	}
	if kind == Kretprobe || kind == Fexit {
		return append(signature.Params, Member{Name: "retval", Type: signature.Result})
	}
	return signature.Params
}
