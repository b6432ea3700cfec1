// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// mapInfo is what is known of a map of the script so far.
type mapInfo struct {
	name string
	// key is of Kind None of a map without keys; keySet tells that it is known.
	key    Type
	keySet bool
	keyPos compile.Pos
	// value is of Kind None until something is assigned.
	value    Type
	valuePos compile.Pos
	declared *syntax.MapDecl
}

// variable is a variable of a unit: one for each place that declares it.
type variable struct {
	name     string
	typ      Type
	pos      compile.Pos // of what gave it its type
	declared bool        // by let with a type: its type stays
	index    int         // in unit.variables
	loose    bool        // see findLoose
}

// scope is what a block can see.
type scope struct {
	outer *scope
	names map[string]*variable
}

func (s *scope) find(name string) *variable {
	for ; s != nil; s = s.outer {
		if v := s.names[name]; v != nil {
			return v
		}
	}
	return nil
}

// all are the names that can be seen, for suggestions.
func (s *scope) all() []string {
	var names []string
	for ; s != nil; s = s.outer {
		for name := range s.names {
			names = append(names, name)
		}
	}
	return names
}

// function is a function of the script.
type subprogram struct {
	decl   *syntax.Function
	params []Type
	result Type
	unit   *unit // its body, checked once for all
	calls  []string
}

// unit is what becomes one program: a probe's body for targets that share it.
type unit struct {
	kind    ProbeKind
	probe   *syntax.Probe
	pos     compile.Pos
	targets []Target
	fn      *subprogram // instead of a probe
	arms    *unit       // watchpoint that this one only finds the address of

	// What the checker found of the body.
	types     map[syntax.Expr]Type
	vars      map[syntax.Node]*variable // by the node that names or declares it
	variables []*variable
	constants map[syntax.Expr]int64
	// particular tells that the program is different for each target.
	particular bool
	// named tells that the program asks which of its targets ran it.
	named bool

	args    []Member // of builtin args, once looked up
	argsOK  bool
	argsGot bool
	result  Type // of builtin retval, of fexit

	// stand is set where the unit stands for a probe of another kind; own are then the
	// arguments of what it is attached to.
	stand *stand
	own   []Member

	firstName int // index in Script.ProbeNames of targets[0]
}

func newUnit(kind ProbeKind, probe *syntax.Probe, pos compile.Pos, targets []Target) *unit {
	return &unit{
		kind: kind, probe: probe, pos: pos, targets: targets,
		types: map[syntax.Expr]Type{}, vars: map[syntax.Node]*variable{}, constants: map[syntax.Expr]int64{},
	}
}
