// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
)

// Limits of the kernel.
const (
	frameSize    = 512
	maxDepth     = 8  // of calls
	maxTailCalls = 33 // of a run
	// DefaultBudget is how many instructions a run may take: as many as the verifier looks at.
	DefaultBudget = 1_000_000
)

// Options are what a machine begins with.
type Options struct {
	Maps []MapSpec
	// Host answers what programs ask of their surroundings; nil is a quiet one.
	Host *Host
	// Budget is how many instructions a run may take, 0 for DefaultBudget.
	Budget int
	// Helpers replace or add to those of the machine, by their number in the kernel.
	Helpers map[int64]Helper
}

// Machine holds maps and runs programs, one at a time.
type Machine struct {
	// Host may be changed between runs.
	Host *Host

	maps        map[string]*Map
	helpers     map[int64]Helper
	budget      int
	nextAddress uint64
	run         run
}

// run is what a run has used so far.
type run struct {
	left      int // instructions
	depth     int
	tailCalls int
	packet    *Region
}

// New makes a machine and its maps. It fails on a map that the kernel would refuse.
func New(o Options) (*Machine, error) {
	m := &Machine{Host: o.Host, maps: map[string]*Map{}, helpers: builtins(), budget: o.Budget, nextAddress: firstAddress}
	if m.Host == nil {
		m.Host = &Host{}
	}
	if m.budget == 0 {
		m.budget = DefaultBudget
	}
	for number, h := range o.Helpers {
		m.helpers[number] = h
	}
	for _, spec := range o.Maps {
		if err := m.addMap(spec); err != nil {
			return nil, fmt.Errorf("make map %q: %w", spec.Name, err)
		}
	}
	return m, nil
}

// Map is a map by its name, nil if there is none.
func (m *Machine) Map(name string) *Map { return m.maps[name] }

// Run runs a program with a context, which it may write, and returns r0. The error is a
// *Fault.
func (m *Machine) Run(p *Program, context []byte) (r0 uint64, err error) {
	return m.start(p, m.Begin(context))
}

// Begin begins a run without a program and gives the pointer to its context: for those who
// use memory, maps and helpers in other ways. Run and RunPacket do that themselves.
func (m *Machine) Begin(context []byte) Value {
	m.run = run{left: m.budget}
	return Pointer(m.adopt(&Region{Kind: Context, Data: context}), 0)
}

func (m *Machine) start(p *Program, context Value) (uint64, error) {
	v, err := m.invoke(p, 0, []Value{context})
	return v.Number, err
}

// Spend takes from the budget of this run; it fails with ErrBudget when nothing is left.
func (m *Machine) Spend(instructions int) error {
	if m.run.left < instructions {
		m.run.left = 0
		return ErrBudget
	}
	m.run.left -= instructions
	return nil
}
