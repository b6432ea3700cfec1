// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"fmt"
	"slices"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// script is what the units of a script have in common while it is compiled.
type script struct {
	host    Host
	machine Machine
	options Options
	limits  Limits
	program *syntax.Program
	enums   map[string]map[int64]string // those that the script defines

	functions   map[string]*function
	builtins    map[string]*builtin
	maps        map[string]*mapInfo
	mapOrder    []*mapInfo
	subprograms map[string]*subprogram
	empty       map[string]bool // maps that only probes without a place assign to
	units       []*unit

	// changed tells that this round of checking learned a type: another is needed. Only
	// the final round reports what is wrong.
	changed  bool
	final    bool
	problems []Diagnostic
	warnings []Diagnostic
	// unmatched are those of them about probes without a place.
	unmatched []Diagnostic
	reported  map[Diagnostic]bool
	cgroups   map[named][]uint64 // that Identity told of
	taking
}

// checker finds the types in one unit.
type checker struct {
	*script
	unit  *unit
	scope *scope
	loops int // around the statement
	// copies is how often unroll repeats the statement, all around it together.
	copies int64
}

func (s *script) report(list *[]Diagnostic, d Diagnostic) {
	if !s.reported[d] {
		s.reported[d] = true
		*list = append(*list, d)
	}
}

// errorf notes what is wrong at a node; only in the final round, as types may be missing
// before.
func (s *script) errorf(at compile.Pos, format string, args ...any) Type {
	return s.hintf(at, "", format, args...)
}

func (s *script) hintf(at compile.Pos, hint, format string, args ...any) Type {
	s.problem(Diagnostic{Pos: at, Text: fmt.Sprintf(format, args...), Hint: hint})
	return noType
}

func (s *script) problem(d Diagnostic) {
	if s.final {
		s.report(&s.problems, d)
	}
}

func (s *script) warning(d Diagnostic) {
	if s.final {
		s.report(&s.warnings, d)
	}
}

func (s *script) warnf(at compile.Pos, format string, args ...any) {
	s.warning(Diagnostic{Pos: at, Text: fmt.Sprintf(format, args...)})
}

// mostRounds bounds how often types flow from one map to another.
const mostRounds = 12

// check finds all types, round by round, until none is learned, and then reports.
func (s *script) check() {
	for round := 0; round < mostRounds; round++ {
		s.changed = false
		s.round()
		if !s.changed {
			s.settle()
		}
		if !s.changed {
			break
		}
	}
	s.final = true
	s.round()
	s.checkMaps()
	s.checkRecursion()
	if len(s.problems) == 0 {
		s.findTaken()
	}
}

// settle makes variables and maps that nothing is ever assigned to integers.
func (s *script) settle() {
	for _, m := range s.mapOrder {
		if m.value.Kind == None && s.empty[m.name] {
			m.value, s.changed = int64Type, true
			if !m.keySet { // it is only used as a whole
				m.key, m.keySet = int64Type, true
			}
		}
	}
	units := slices.Clone(s.units)
	for _, p := range s.subprograms {
		units = append(units, p.unit)
	}
	for _, u := range units {
		for _, v := range u.variables {
			if v.typ.Kind == None {
				v.typ, s.changed = int64Type, true
			}
		}
	}
}

func (s *script) round() {
	for _, name := range sortedNames(s.subprograms) {
		s.checkFunction(s.subprograms[name])
	}
	for i := 0; i < len(s.units); i++ {
		u := s.units[i]
		s.checkUnit(u)
		if u.particular && len(u.targets) > 1 {
			s.split(i)
			s.changed = true
		}
	}
}

// split makes a unit of each target of a unit.
func (s *script) split(i int) {
	u := s.units[i]
	var parts []*unit
	for _, target := range u.targets {
		part := newUnit(u.kind, u.probe, u.pos, []Target{target})
		part.particular, part.stand = true, u.stand
		parts = append(parts, part)
	}
	s.units = append(s.units[:i], append(parts, s.units[i+1:]...)...)
}

func (s *script) checkUnit(u *unit) {
	c := &checker{script: s, unit: u, copies: 1, scope: &scope{names: map[string]*variable{}}}
	c.checkStand()
	if u.probe.Predicate != nil {
		c.condition(u.probe.Predicate)
	}
	c.block(u.probe.Body)
}

func (s *script) checkFunction(p *subprogram) {
	c := &checker{script: s, unit: p.unit, copies: 1, scope: &scope{names: map[string]*variable{}}}
	for i, param := range p.decl.Params {
		v := c.declare(param, param.Name, p.params[i], true)
		v.declared = true
	}
	c.block(p.decl.Body)
}

// checkMaps looks at the maps as a whole, when everything is known.
func (s *script) checkMaps() {
	for _, m := range s.mapOrder {
		if m.value.Kind == None && m.declared != nil && !m.keySet {
			s.warnf(m.valuePos, "map %s is declared but not used", m.name)
			continue
		}
		if m.value.Kind == None && len(s.problems) == 0 {
			at := m.valuePos
			if at == (compile.Pos{}) {
				at = m.keyPos
			}
			s.hintf(at, nearest(m.name, s.assignedMaps()), "map %s is used but nothing is ever assigned to it", m.name)
		}
		if n := m.key.stored(); n > largestKey {
			s.errorf(m.keyPos, "the key of %s takes %d bytes; at most %d are possible", m.name, n, largestKey)
		}
		if n := m.value.stored(); n > largestValue {
			s.errorf(m.valuePos, "a value of %s takes %d bytes; at most %d are possible", m.name, n, largestValue)
		}
	}
}

func (s *script) assignedMaps() []string {
	var names []string
	for _, m := range s.mapOrder {
		if m.value.Kind != None {
			names = append(names, m.name)
		}
	}
	return names
}

// checkRecursion reports functions that come back to themselves: BPF has no such calls.
func (s *script) checkRecursion() {
	const onTheWay, done = 1, 2
	state := map[string]int{}
	var visit func(name string)
	visit = func(name string) {
		p := s.subprograms[name]
		if p == nil || state[name] == done {
			return
		}
		if state[name] == onTheWay {
			s.errorf(p.decl.Pos, "function %s calls itself: a program in the kernel cannot recurse", name)
			return
		}
		state[name] = onTheWay
		for _, callee := range p.calls {
			visit(callee)
		}
		state[name] = done
	}
	for _, name := range sortedNames(s.subprograms) {
		visit(name)
	}
}
