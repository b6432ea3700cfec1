// SPDX-License-Identifier: Apache-2.0

// Package filters compiles the filters that select records.
//
// Problem: a filter runs for every record, and comes from a user, who may have
// misspelt what he looks for.
//
// Mechanism: each field of a skepv1.Filter becomes a predicate; its where
// expression a program of CEL, whose types are those of the records. The packages
// of CEL take a millisecond and half a megabyte to be there at all, which skep, who
// leaves the filtering to the agent, does not pay: only skepd links them.
//
// Invariants: no expression takes more than a bounded time for one record, and
// what it does not come to a result for is counted.
package filters

import (
	"fmt"
	"sync/atomic"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// Deps are what a filter asks about the world.
type Deps struct {
	// Ancestors yields the ancestors of an exec id, parent first, without the
	// process itself, until yield returns false. Needed for ancestor_exes only.
	Ancestors func(execID string, yield func(*skepv1.Process) bool)
}

// maxFilterValues bounds the work per record that one field can ask for.
const maxFilterValues = 1024

// predicate is one field of a filter; nil stands for a field that is not set.
type predicate func(*skepv1.Record) bool

// Filter is a compiled skepv1.Filter. Its methods may be called from any goroutine.
type Filter struct {
	spec       *skepv1.Filter
	kinds      event.KindSet
	anyKind    bool
	predicates []predicate
	failures   failures
}

// Compile checks a filter and makes it ready to match. A nil filter matches
// everything. Its errors are for the user who wrote the filter.
func Compile(spec *skepv1.Filter, deps Deps) (*Filter, error) {
	f := &Filter{spec: spec, kinds: event.AllKinds, anyKind: true}
	if err := f.compileKinds(spec.GetKinds()); err != nil {
		return nil, err
	}
	fields := []struct {
		name    string
		compile func() (predicate, error)
	}{
		{"pids", func() (predicate, error) { return matchPids(spec.GetPids()) }},
		{"uids", func() (predicate, error) { return matchUids(spec.GetUids()) }},
		{"comms", func() (predicate, error) { return matchComms(spec.GetComms()) }},
		{"exes", func() (predicate, error) { return matchExes(spec.GetExes()) }},
		{"containers", func() (predicate, error) { return matchContainers(spec.GetContainers()) }},
		{"ports", func() (predicate, error) { return matchPorts(spec.GetPorts()) }},
		{"addrs", func() (predicate, error) { return matchAddrs(spec.GetAddrs()) }},
		{"ancestor_exes", func() (predicate, error) { return matchAncestorExes(spec.GetAncestorExes(), deps) }},
		{"paths", func() (predicate, error) { return matchPaths(spec.GetPaths()) }},
		{"where", func() (predicate, error) { return matchWhere(spec.GetWhere(), &f.failures) }},
	}
	for _, field := range fields {
		p, err := field.compile()
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", field.name, err)
		}
		if p != nil {
			f.predicates = append(f.predicates, p)
		}
	}
	return f, nil
}

func (f *Filter) compileKinds(names []string) error {
	if len(names) == 0 {
		return nil
	}
	f.kinds, f.anyKind = 0, false
	for _, name := range names {
		k, err := event.ParseKind(name)
		if err != nil {
			return fmt.Errorf("filter kinds: %w", err)
		}
		f.kinds |= event.SetOf(k)
	}
	return nil
}

// Spec is what the filter was compiled from.
func (f *Filter) Spec() *skepv1.Filter { return f.spec }

// Kinds are the kinds of the records that can match, but for loss records of
// one of these kinds. Give Cursor the set of CursorKinds.
func (f *Filter) Kinds() event.KindSet { return f.kinds }

// CursorKinds are the kinds that a Cursor must deliver: Kinds and Loss.
func (f *Filter) CursorKinds() event.KindSet { return f.kinds | event.SetOf(event.Loss) }

// OnlyKinds says whether a record's kind alone decides, but for records of the kind loss.
func (f *Filter) OnlyKinds() bool { return len(f.predicates) == 0 }

// Failures is the number of records on which the where expression failed
// (such as an index out of range); they did not match.
func (f *Filter) Failures() uint64 { return f.failures.count.Load() }

// Undecided is what an answer says of the failures beyond those that have been told, or nil.
func (f *Filter) Undecided(told uint64) *skepv1.Undecided {
	n := f.Failures()
	if n == told {
		return nil
	}
	return &skepv1.Undecided{Count: n - told, Reason: *f.failures.first.Load()}
}

// failures are those of a where expression.
type failures struct {
	count atomic.Uint64
	first atomic.Pointer[string]
}

func (f *failures) add(err error) {
	if f.first.Load() == nil {
		reason := whereFailure(err)
		f.first.CompareAndSwap(nil, &reason)
	}
	f.count.Add(1) // last: who has seen it finds the reason
}

// Match says whether the record is wanted. A loss answers to the kinds only: a reader
// who asks for one process must still learn that its records may be among the lost
// ones. The agent's own records are about no process: with any other filter they must
// be asked for by kind.
func (f *Filter) Match(r *skepv1.Record) bool {
	k, known := event.KindOf(r)
	switch {
	case known && k == event.Loss:
		return f.matchLoss(r.GetLoss())
	case known && k == event.Agent:
		return f.kinds.Has(event.Agent) && f.WantsOwn()
	case known && !f.kinds.Has(k), !known && !f.anyKind:
		return false
	}
	return f.matchFields(r)
}

// Counts says whether a record that matches counts as one of those that were asked for:
// a loss may only tell that some of them are missing.
func (f *Filter) Counts(r *skepv1.Record) bool {
	k, _ := event.KindOf(r)
	return k != event.Loss || f.WantsOwn()
}

// unknownKind is Loss.lost_kind where it is not known what was lost.
const unknownKind = "unknown"

// WantsOwn says whether records about skep itself are among what was asked for: there
// is no other filter, or they are named by kind.
func (f *Filter) WantsOwn() bool { return len(f.predicates) == 0 || !f.anyKind }

// matchLoss passes a loss of the wanted kinds, or of a kind that is not known.
func (f *Filter) matchLoss(l *skepv1.Loss) bool {
	k, known := event.LookupKind(l.GetLostKind())
	if !known && l.GetLostKind() != "" && l.GetLostKind() != unknownKind {
		return f.kinds.Has(event.Loss) && f.WantsOwn() // of records that no reader sees, such as cgroup_mkdir
	}
	return !known || f.kinds.Has(k) || f.kinds.Has(event.Loss)
}

func (f *Filter) matchFields(r *skepv1.Record) bool {
	for _, p := range f.predicates {
		if !p(r) {
			return false
		}
	}
	return true
}

// setOf is the set of a field's values.
func setOf[T comparable](values []T) (map[T]struct{}, error) {
	if len(values) > maxFilterValues {
		return nil, fmt.Errorf("%d values, the limit is %d", len(values), maxFilterValues)
	}
	set := make(map[T]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	return set, nil
}
