// SPDX-License-Identifier: Apache-2.0

package bt

import (
	_ "embed"
	"slices"
	"sync"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

//go:embed prelude.bt
var preludeText string

// prelude are the macros of the language itself.
var prelude = sync.OnceValues(func() ([]*syntax.Macro, error) {
	program, errs := syntax.Parse(preludeText, nil)
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	return program.Macros, nil
})

// signature is what macros are told apart by: their names, and how many parameters they have.
type signature struct {
	name   string
	params int
}

// known takes the macros of the language and of the script, and tells whether the script says
// any word that is to be put in another's place.
func (e *expander) known() bool {
	for _, m := range e.program.Macros {
		at := signature{m.Name, len(m.Params)}
		if e.macros[at] != nil {
			e.errorf(m.Pos, "macro %s is defined twice", m.Name)
		}
		e.macros[at], e.own[m.Name] = m, m
	}
	macros, err := prelude()
	if err != nil {
		e.errorf(compile.Pos{}, "a fault of skep, not of the script: read its own macros: %v", err)
	}
	for _, m := range macros {
		if at := (signature{m.Name, len(m.Params)}); e.macros[at] == nil && !e.defines(m.Name) {
			e.macros[at], e.words[m] = m, true
		}
	}
	found := len(e.program.Macros) > 0
	visit := func(n syntax.Node) {
		switch n := n.(type) {
		case *syntax.Name:
			found = found || e.macros[signature{n.Name, 0}] != nil
		case *syntax.Call:
			found = found || e.macros[signature{n.Name, len(n.Args)}] != nil || e.isBuiltin(n)
		}
	}
	walkProgram(e.program, visit)
	return found
}

// isBuiltin tells whether a call is a builtin that is written as one: pid(). What the script
// itself defines goes before.
func (e *expander) isBuiltin(x *syntax.Call) bool {
	return len(x.Args) == 0 && e.functions[x.Name] == nil && e.builtinNamed(x.Name) != nil &&
		e.macros[signature{x.Name, 0}] == nil && !e.definesFunction(x.Name)
}

// defines tells whether a name is that of a function or an enumerator of the script's own.
func (s *script) defines(name string) bool { return s.definesFunction(name) || s.definesConstant(name) }

func (s *script) definesFunction(name string) bool {
	return slices.ContainsFunc(s.program.Functions, func(f *syntax.Function) bool { return f.Name == name })
}

func (s *script) definesConstant(name string) bool {
	d, ok := s.host.(*definedHost)
	if !ok {
		return false
	}
	_, ok = d.enums[name]
	return ok
}
