// SPDX-License-Identifier: Apache-2.0

// Package toolscript puts the options that all tools have into a tool's program, before it is
// compiled: whose events it shows, and how often it prints what it counts. There is no Go for
// any single tool: where an option goes is in the tool's header, see tools/README.md.
package toolscript

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/tools"
)

// Restriction is whose events a tool shows: those of processes that fit all of it.
type Restriction struct {
	PID     uint32   // 0: any
	Comm    string   // of the thread; "": any
	UID     *uint32  // nil: any
	Cgroups []uint64 // identifiers in cgroup v2; nil: any
}

// given are the names of the facts that are restricted, in the order of their options.
func (r Restriction) given() []string {
	var names []string
	for name, is := range map[string]bool{"pid": r.PID != 0, "comm": r.Comm != "", "uid": r.UID != nil, "cgroup": r.Cgroups != nil} {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// flags are the options that restrict a fact.
var flags = map[string]string{"pid": "--pid", "comm": "--comm", "uid": "--uid", "cgroup": "--container"}

// Restrict puts a restriction into the tool's program, so that the kernel applies it: around
// each statement that shows something, which are printf and changes of the maps of the
// header, or around changes of the maps that the header names instead. What is compared is,
// from the first that there is: what the header says, the column or part of the key of that
// name, the task that the header names, the current one.
//
// entry tells that each probe of the tool runs for the process that it is about, so that
// whoever compiles the program may end all others at once: PID and Cgroups are then not
// in the program.
func Restrict(t *tools.Tool, program *syntax.Program, r Restriction) (entry bool, err error) {
	facts := r.given()
	if len(facts) == 0 {
		return true, nil
	}
	if t.Filter.None != "" {
		return false, fmt.Errorf("run tool %s: %s: %s", t.Name, flags[facts[0]], t.Filter.None)
	}
	w := &restricting{tool: t, r: r, facts: facts}
	if entry = atEntry(t, program); entry {
		w.facts = slices.DeleteFunc(facts, func(name string) bool { return name == "pid" || name == "cgroup" })
	}
	if len(w.facts) == 0 {
		return entry, nil
	}
	for _, p := range program.Probes {
		w.block(p.Body)
	}
	return entry, w.err
}

// restricting rewrites one program.
type restricting struct {
	tool  *tools.Tool
	r     Restriction
	facts []string
	err   error
}

func (w *restricting) block(b *syntax.Block) {
	if b == nil {
		return
	}
	for i, s := range b.Stmts {
		switch s := s.(type) {
		case *syntax.Block:
			w.block(s)
		case *syntax.If:
			w.block(s.Then)
			w.block(s.Else)
		case *syntax.While:
			w.block(s.Body)
		case *syntax.Unroll:
			w.block(s.Body)
		case *syntax.For:
			w.block(s.Body)
		default:
			if named, shows := shows(w.tool, s); shows {
				at := syntax.At{Pos: s.Position()}
				b.Stmts[i] = &syntax.If{At: at, Cond: w.condition(at, named), Then: &syntax.Block{At: at, Stmts: []syntax.Stmt{s}}}
			}
		}
	}
}

// shows tells whether a restriction belongs around a statement, and what stands there for
// the columns or the parts of the key, by name.
func shows(t *tools.Tool, s syntax.Stmt) (named map[string]syntax.Expr, ok bool) {
	var changed *syntax.Map
	switch s := s.(type) {
	case *syntax.Assign:
		changed, _ = s.Target.(*syntax.Map)
	case *syntax.ExprStmt:
		if step, isStep := s.X.(*syntax.Step); isStep {
			changed, _ = step.X.(*syntax.Map)
		}
		if call, isCall := s.X.(*syntax.Call); isCall && call.Name == "printf" && len(t.Filter.At) == 0 {
			return namedColumns(t, call), true
		}
	}
	switch {
	case changed == nil:
		return nil, false
	case len(t.Filter.At) > 0:
		return nil, slices.Contains(t.Filter.At, changed.Name)
	}
	for _, m := range t.Maps {
		if m.Name == changed.Name {
			return namedKeys(m.Keys, changed.Key), true
		}
	}
	return nil, false
}

func namedColumns(t *tools.Tool, call *syntax.Call) map[string]syntax.Expr {
	named := map[string]syntax.Expr{}
	for i, c := range t.Columns {
		if i+1 < len(call.Args) {
			named[c.Name] = call.Args[i+1]
		}
	}
	return named
}

func namedKeys(names []string, key syntax.Expr) map[string]syntax.Expr {
	parts := []syntax.Expr{key}
	if tuple, ok := key.(*syntax.Tuple); ok {
		parts = tuple.Elems
	}
	named := map[string]syntax.Expr{}
	for i, name := range names {
		if i < len(parts) {
			named[name] = parts[i]
		}
	}
	return named
}

// condition is true for what the restriction lets through.
func (w *restricting) condition(at syntax.At, named map[string]syntax.Expr) syntax.Expr {
	var all syntax.Expr
	for _, fact := range w.facts {
		of := w.fact(at, fact, named)
		var one syntax.Expr
		switch fact {
		case "pid":
			one = equal(at, of, integer(at, uint64(w.r.PID)))
		case "uid":
			one = equal(at, of, integer(at, uint64(*w.r.UID)))
		case "comm":
			one = equal(at, of, &syntax.String{At: at, Value: w.r.Comm})
		case "cgroup":
			one = anyOf(at, of, w.r.Cgroups)
		}
		if all == nil {
			all = one
			continue
		}
		all = &syntax.Binary{At: at, Op: syntax.LogicalAnd, Left: all, Right: one}
	}
	return all
}

// anyOf compares with each of some numbers.
func anyOf(at syntax.At, of syntax.Expr, numbers []uint64) syntax.Expr {
	if len(numbers) == 0 {
		return integer(at, 0)
	}
	any := equal(at, of, integer(at, numbers[0]))
	for _, n := range numbers[1:] {
		any = &syntax.Binary{At: at, Op: syntax.LogicalOr, Left: any, Right: equal(at, of, integer(at, n))}
	}
	return any
}

// ofTask is where a task_struct has a fact.
var ofTask = map[string]string{"pid": "->tgid", "comm": "->comm", "uid": "->cred->uid.val", "cgroup": "->cgroups->dfl_cgrp->kn->id"}

func (w *restricting) fact(at syntax.At, fact string, named map[string]syntax.Expr) syntax.Expr {
	switch f := w.tool.Filter; {
	case f.Facts[fact] != "":
		return w.parse(f.Facts[fact])
	case named[fact] != nil:
		return named[fact]
	case f.Task != "":
		return w.parse(f.Task + ofTask[fact])
	}
	return &syntax.Name{At: at, Name: fact}
}

// parse reads an expression of the header.
func (w *restricting) parse(text string) syntax.Expr {
	x, err := parseExpr(text)
	if err != nil {
		w.err = fmt.Errorf("run tool %s: filter %s: %w", w.tool.Name, text, err)
	}
	return x
}

func parseExpr(text string) (syntax.Expr, error) {
	program, errs := syntax.Parse("begin { $x = ("+text+"); }", nil)
	if len(errs) > 0 {
		return &syntax.Integer{}, errs.Err()
	}
	return program.Probes[0].Body.Stmts[0].(*syntax.Assign).Value, nil
}

func equal(at syntax.At, x, y syntax.Expr) syntax.Expr {
	return &syntax.Binary{At: at, Op: syntax.Equal, Left: x, Right: y}
}

func integer(at syntax.At, n uint64) syntax.Expr {
	return &syntax.Integer{At: at, Value: n, Text: strconv.FormatUint(n, 10), Unsigned: n > 1<<63-1}
}
