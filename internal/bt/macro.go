// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Bounds of what macros make of a script.
const (
	deepestMacro  = 32 // macros that call macros
	mostExpansion = 10_000
	mostCopied    = mostParts // expressions: each becomes an operation or more
)

// expander puts the bodies of macros where they are called.
type expander struct {
	*script
	macros map[signature]*syntax.Macro
	own    map[string]*syntax.Macro // the script's, one of each name
	words  map[*syntax.Macro]bool   // the language's
	depth  int
	count  int
	copied int
}

// expandMacros replaces all calls of macros in probes and functions, and those of builtins by
// their names.
func (s *script) expandMacros() {
	e := &expander{script: s, macros: map[signature]*syntax.Macro{}, own: map[string]*syntax.Macro{}, words: map[*syntax.Macro]bool{}}
	if !e.known() {
		return
	}
	program := *s.program
	program.Probes, program.Functions = nil, nil
	c := e.copier(nil)
	for _, p := range s.program.Probes {
		probe := *p
		probe.Predicate, probe.Body = c.CopyExpr(p.Predicate), c.CopyBlock(p.Body)
		program.Probes = append(program.Probes, &probe)
	}
	for _, f := range s.program.Functions {
		function := *f
		function.Body = c.CopyBlock(f.Body)
		program.Functions = append(program.Functions, &function)
	}
	s.program = &program
}

// binding is what the parameters of a macro stand for in one call of it.
type binding struct {
	macro *syntax.Macro
	names map[string]string      // of variables and maps
	exprs map[string]syntax.Expr // of parameters that are expressions, copied already
	own   string                 // behind the names of variables of the macro's own
	place compile.Pos            // of the call of a macro of the language, else zero
}

// copier copies the body of a macro, or, without a binding, what is in no macro.
func (e *expander) copier(b *binding) *syntax.Copier {
	c := &syntax.Copier{}
	if b != nil {
		c.Place = b.place
	}
	c.Expr = func(x syntax.Expr) syntax.Expr {
		if none := e.spend(c.Where(x.Position())); none != nil {
			return none
		}
		switch x := x.(type) {
		case *syntax.Name:
			if b != nil && b.exprs[x.Name] != nil {
				return e.plain().CopyExpr(b.exprs[x.Name])
			}
			return e.value(c, c.Where(x.Pos), x.Name, nil)
		case *syntax.Call:
			if e.isBuiltin(x) {
				return &syntax.Name{At: syntax.At{Pos: c.Where(x.Pos)}, Name: x.Name}
			}
			return e.value(c, c.Where(x.Pos), x.Name, x.Args)
		case *syntax.Map:
			if b != nil && b.names[x.Name] == "" {
				e.errorf(x.Pos, "macro %s uses map %s, which is none of its parameters", b.macro.Name, x.Name)
			}
		}
		return nil
	}
	c.Stmt = func(s syntax.Stmt) syntax.Stmt {
		only, ok := s.(*syntax.ExprStmt)
		if !ok {
			return nil
		}
		switch x := only.X.(type) {
		case *syntax.Name:
			if b == nil || b.exprs[x.Name] == nil {
				return e.effect(c, c.Where(x.Pos), x.Name, nil)
			}
		case *syntax.Call:
			return e.effect(c, c.Where(x.Pos), x.Name, x.Args)
		}
		return nil
	}
	if b == nil {
		return c
	}
	c.Type = func(t *syntax.Type) *syntax.Type {
		if arg, ok := b.exprs[t.Name].(*syntax.TypeArg); ok && t.Kind == syntax.Named && t.Tag == "" {
			return (&syntax.Copier{}).CopyType(arg.Type)
		}
		return nil
	}
	c.Name = func(name string) string {
		if other := b.names[name]; other != "" {
			return other
		}
		return name + b.own
	}
	return c
}

// plain copies an argument, where nothing is left to replace.
func (e *expander) plain() *syntax.Copier {
	return &syntax.Copier{Expr: func(x syntax.Expr) syntax.Expr { return e.spend(x.Position()) }}
}

// spend counts an expression that is copied, and puts a number in its place where there are
// too many: an argument that its macro names twice, in an argument of such a macro and so on,
// doubles each time.
func (e *expander) spend(at compile.Pos) syntax.Expr {
	if e.copied++; e.copied <= mostCopied {
		return nil
	}
	if e.copied == mostCopied+1 {
		e.errorf(at, "the script is too large: its macros make more than %d expressions of it; this is where there is no room left", mostCopied)
	}
	return &syntax.Integer{At: syntax.At{Pos: at}}
}

// find is the macro that a call means. One with another number of parameters than it has
// arguments is only meant if nothing else is.
func (e *expander) find(name string, args int) *syntax.Macro {
	if m := e.macros[signature{name, args}]; m != nil {
		return m
	}
	if e.functions[name] != nil {
		return nil
	}
	return e.own[name]
}

// effect is a call of a macro as a statement, nil if it is none of one.
func (e *expander) effect(c *syntax.Copier, at compile.Pos, name string, args []syntax.Expr) syntax.Stmt {
	m := e.find(name, len(args))
	if m == nil {
		return nil
	}
	inside := e.enter(c, at, m, args)
	defer e.leave()
	if inside == nil {
		return &syntax.Block{At: syntax.At{Pos: at}}
	}
	return inside.CopyBlock(m.Body)
}

// value is a call of a macro as an expression, nil if it is none of one: its last statement is
// the value.
func (e *expander) value(c *syntax.Copier, at compile.Pos, name string, args []syntax.Expr) syntax.Expr {
	m := e.find(name, len(args))
	if m == nil {
		return nil
	}
	inside := e.enter(c, at, m, args)
	defer e.leave()
	nothing := &syntax.Integer{At: syntax.At{Pos: at}}
	if inside == nil {
		return nothing
	}
	if n := len(m.Body.Stmts); n > 0 {
		if last, ok := m.Body.Stmts[n-1].(*syntax.ExprStmt); ok {
			before := inside.CopyBlock(&syntax.Block{Stmts: m.Body.Stmts[:n-1]})
			return &syntax.BlockExpr{At: syntax.At{Pos: at}, Stmts: before.Stmts, Value: inside.CopyExpr(last.X)}
		}
	}
	e.errorf(at, "macro %s has no value", name)
	return nothing
}

// enter is what copies the body of a macro for a call of it, nil if the call is wrong. The
// caller leaves it again.
func (e *expander) enter(c *syntax.Copier, at compile.Pos, m *syntax.Macro, args []syntax.Expr) *syntax.Copier {
	e.depth++
	e.count++
	switch {
	case len(args) != len(m.Params):
		e.errorf(at, "macro %s takes %s, not %d", m.Name, plural(len(m.Params)), len(args))
		return nil
	case e.depth > deepestMacro || e.count > mostExpansion:
		e.errorf(at, "macro %s leads to itself, or to too many others", m.Name)
		return nil
	}
	b := &binding{macro: m, names: map[string]string{}, exprs: map[string]syntax.Expr{}, own: "'" + itoa(e.count)}
	if e.words[m] {
		b.place = at
	}
	for i, param := range m.Params {
		if !e.bind(b, param, c.CopyExpr(args[i])) {
			e.errorf(args[i].Position(), "macro %s wants %s here", m.Name, map[bool]string{true: "a map", false: "a variable"}[isMap(param)])
			return nil
		}
	}
	return e.copier(b)
}

func (e *expander) leave() { e.depth-- }

func isMap(x syntax.Expr) bool {
	_, ok := x.(*syntax.Map)
	return ok
}

// bind says what a parameter stands for; false if it cannot be that.
func (e *expander) bind(b *binding, param, arg syntax.Expr) bool {
	switch param := param.(type) {
	case *syntax.Name:
		b.exprs[param.Name] = arg
		return true
	case *syntax.Variable:
		v, ok := arg.(*syntax.Variable)
		if ok {
			b.names[param.Name] = v.Name
		}
		return ok
	case *syntax.Map:
		m, ok := arg.(*syntax.Map)
		if ok && m.Key == nil {
			b.names[param.Name] = m.Name
			return true
		}
	}
	return false
}
