// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Substitute is what a probe on a function of the kernel can run on instead, where the kernel
// cannot probe functions: a tracepoint that is passed when, and only when, the function is
// called (or returns), but for what Differs says.
type Substitute struct {
	// Kind is Kprobe or Kretprobe, Function that of the kernel.
	Kind     ProbeKind
	Function string
	// On is a probe in the language: where it runs, a predicate that tells the calls of
	// the function from other events, and assignments to $arg0 ... and $retval, which say
	// where the values are. What is not assigned is not known there.
	On string
	// Differs says in which cases it is not the same, or "".
	Differs string
}

// substitute is a Substitute as the compiler uses it.
type substitute struct {
	*Substitute
	point     *syntax.AttachPoint
	predicate syntax.Expr            // or nil
	values    map[string]syntax.Expr // by name without $: arg0, retval
}

// substitutes are those of the table, read once.
var substitutes = sync.OnceValue(func() []*substitute {
	var out []*substitute
	for _, row := range Substitutes() {
		s, err := readSubstitute(row)
		if err != nil {
			panic(err) // the table is part of the program
		}
		out = append(out, s)
	}
	return out
})

func readSubstitute(row Substitute) (*substitute, error) {
	program, problems := syntax.Parse(row.On, nil)
	if len(problems) > 0 || len(program.Probes) != 1 || len(program.Probes[0].Points) != 1 {
		return nil, fmt.Errorf("read the substitute of %s:%s: %v", kindName(row.Kind), row.Function, problems)
	}
	probe := program.Probes[0]
	s := &substitute{Substitute: &row, point: probe.Points[0], predicate: probe.Predicate, values: map[string]syntax.Expr{}}
	for _, stmt := range probe.Body.Stmts {
		assign, ok := stmt.(*syntax.Assign)
		if !ok {
			return nil, fmt.Errorf("read the substitute of %s:%s: it has more than assignments", kindName(row.Kind), row.Function)
		}
		variable, ok := assign.Target.(*syntax.Variable)
		if !ok {
			return nil, fmt.Errorf("read the substitute of %s:%s: it assigns to more than variables", kindName(row.Kind), row.Function)
		}
		s.values[strings.TrimPrefix(variable.Name, "$")] = assign.Value
	}
	return s, nil
}

// withoutAliases leaves out targets that stand for another name of a function whose events the
// probe has already: scripts name all that a function was ever called, of which a kernel has
// one. Two that this kernel has, of which one calls the other, are both kept.
func (s *script) withoutAliases(targets []Target) []Target {
	taken := map[string]bool{} // by where the substitute runs
	exists := func(t Target) bool {
		_, ok := s.host.KernelSymbol(t.Function)
		return ok
	}
	for _, t := range targets {
		if t.row() != nil && exists(t) {
			taken[t.row().On] = true
		}
	}
	return slices.DeleteFunc(targets, func(t Target) bool {
		if t.row() == nil || exists(t) {
			return false
		}
		alias := taken[t.row().On]
		taken[t.row().On] = true
		return alias
	})
}

// row is that of the table that a target runs by, or nil.
func (t Target) row() *substitute {
	if t.stand == nil {
		return nil
	}
	return t.stand.row
}

// instead finds what a probe on functions runs on where there is nothing of its kind: fentry and fexit where the kernel has them, else what the table has.
func (s *script) instead(kind ProbeKind, pattern Target) []Target {
	other, ok := map[ProbeKind]ProbeKind{Kprobe: Fentry, Kretprobe: Fexit}[kind]
	if !ok || pattern.Offset != 0 || pattern.Function == "" {
		return nil
	}
	if found, err := s.targetsOn(other, pattern); err == nil && len(found) > 0 {
		for i := range found {
			found[i].stand = &stand{for_: kind, on: other}
			found[i].Via = found[i].Name
			found[i].Name = kindName(kind) + ":" + found[i].Function
		}
		return found
	}
	var out []Target
	for _, row := range substitutes() {
		if row.Kind == kind && matchesGlob(pattern.Function, row.Function) {
			out = append(out, s.substituted(row, pattern)...)
		}
	}
	return out
}

// targetsOn are the places that the host has, but for kinds that it is to do without.
func (s *script) targetsOn(kind ProbeKind, pattern Target) ([]Target, error) {
	if s.options.Without[kind] {
		return nil, fmt.Errorf("%s is not to be used", kindName(kind))
	}
	return s.host.Targets(kind, pattern)
}

// substituted are the places of a row of the table, none where this kernel has not what the
// row needs.
func (s *script) substituted(row *substitute, pattern Target) []Target {
	kind := providerKinds()[row.point.Provider]
	found, err := s.host.Targets(kind, s.pattern(kind, row.point))
	if err != nil || len(found) == 0 || !s.applies(row, kind, found[0]) {
		return nil
	}
	for i := range found {
		found[i].stand = &stand{for_: row.Kind, on: kind, row: row}
		found[i].Via, found[i].Differs = found[i].Name, row.Differs
		found[i].Name = kindName(row.Kind) + ":" + row.Function
		found[i].Function, found[i].PID = row.Function, pattern.PID
	}
	return found
}

// applies tells whether all that a row names is there in this kernel.
func (s *script) applies(row *substitute, kind ProbeKind, target Target) bool {
	trial := newScript(&syntax.Program{}, s.host, Options{Limits: s.limits})
	trial.final = true
	target.stand = &stand{for_: row.Kind, on: kind, row: row}
	c := &checker{script: trial, unit: newUnit(kind, nil, compile.Pos{}, []Target{target}), copies: 1, scope: &scope{}}
	c.unit.stand = target.stand
	c.inStand(func() {
		if row.predicate != nil {
			c.condition(row.predicate)
		}
		for _, name := range sortedNames(row.values) {
			c.number(row.values[name])
		}
	})
	return len(trial.problems) == 0
}

// stand tells that a unit stands for a probe of another kind than it is attached as.
type stand struct {
	for_, on ProbeKind
	row      *substitute // nil: fentry for kprobe, whose arguments are the function's own
}

// asked is the kind of probe that the script has asked for.
func (u *unit) asked() ProbeKind {
	if u.stand != nil {
		return u.stand.for_
	}
	return u.kind
}

// row is that of the table that the unit runs by, or nil.
func (u *unit) row() *substitute {
	if u.stand == nil {
		return nil
	}
	return u.stand.row
}

// inStand checks expressions of the table: args and other builtins mean there what they mean
// where the unit is attached.
func (c *checker) inStand(check func()) {
	saved := c.unit.stand
	args, argsOK, argsGot := c.unit.args, c.unit.argsOK, c.unit.argsGot
	c.unit.stand = nil
	c.unit.args, c.unit.argsOK, c.unit.argsGot = c.unit.own, true, c.unit.own != nil
	check()
	c.unit.own = c.unit.args
	c.unit.stand = saved
	c.unit.args, c.unit.argsOK, c.unit.argsGot = args, argsOK, argsGot
}

// standIn checks a value of the function that the unit stands for: arg0 ... or retval.
func (c *checker) standIn(at compile.Pos, name string) Type {
	row := c.unit.stand.row
	x := row.values[name]
	if x == nil {
		c.warnf(at, "%s of %s:%s is not known where it runs instead (%s): it is 0", name, kindName(row.Kind), row.Function, c.unit.targets[0].Via)
		return Type{Kind: Integer, Size: word, Signed: true}
	}
	var t Type
	c.inStand(func() { t = c.number(x) })
	return Type{Kind: Integer, Size: word, Signed: true, User: t.User}
}

// standIn builds what the checker's standIn has checked.
func (f *lowering) standIn(name string) *compile.Value {
	x := f.unit.stand.row.values[name]
	if x == nil {
		return f.constant(0)
	}
	var w *compile.Value
	f.inStand(func() { w = f.number(f.eval(x)) })
	return w
}

func (f *lowering) inStand(build func()) {
	saved, args := f.unit.stand, f.unit.args
	f.unit.stand, f.unit.args = nil, f.unit.own
	build()
	f.unit.stand, f.unit.args = saved, args
}

// requireStand ends the program where the event is none of the function's.
func (f *lowering) requireStand() {
	row := f.unit.row()
	if row == nil || row.predicate == nil {
		return
	}
	f.inStand(func() {
		yes, no := f.b.NewBlock(), f.b.NewBlock()
		f.branch(row.predicate, yes, no)
		f.b.Seal(yes)
		f.b.Seal(no)
		f.b.Enter(no)
		f.b.Return(f.b.Const(0))
		f.b.Enter(yes)
	})
}

// checkStand checks what the table adds to a unit.
func (c *checker) checkStand() {
	if row := c.unit.row(); row != nil && row.predicate != nil {
		c.inStand(func() { c.condition(row.predicate) })
	}
}

// standArgument checks arg0 ... of a unit that stands for a kprobe.
func (c *checker) standArgument(x *syntax.Name, prefix string, number int) Type {
	if prefix == "sarg" {
		return c.notThere(x.Pos, x.Name)
	}
	if c.unit.stand.row != nil {
		return c.standIn(x.Pos, x.Name)
	}
	if n := words(c.arguments()); number >= n {
		return c.errorf(x.Pos, "%s has %d arguments, so no %s", c.unit.targets[0].Name, n, x.Name)
	}
	return Type{Kind: Integer, Size: word, Signed: true}
}

// standArguments are the function's own arguments, of which the table knows some.
func (c *checker) standArguments() {
	u := c.unit
	signature, ok := c.host.Signature(u.stand.for_, Target{Function: u.stand.row.Function})
	u.argsOK = ok
	for _, m := range signature.Params {
		name := "arg" + itoa(m.Offset)
		if x := u.stand.row.values[name]; x != nil {
			c.inStand(func() { m.Type.User = c.number(x).User })
			u.args = append(u.args, m)
		}
	}
}

// notThere reports what the script asks for that only a probe of the kind that it names has.
func (c *checker) notThere(at compile.Pos, what string) Type {
	return c.errorf(at, "%s is not there where %s runs instead (%s)", what, c.unit.targets[0].Name, c.unit.targets[0].Via)
}

// matchesGlob tells whether a name matches a pattern of the shell.
func matchesGlob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
