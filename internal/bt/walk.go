// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/bt/syntax"

// walkProgram visits all of a program's probes and functions.
func walkProgram(program *syntax.Program, visit func(syntax.Node)) {
	for _, p := range program.Probes {
		if p.Predicate != nil {
			syntaxWalk(p.Predicate, visit)
		}
		syntaxWalk(p.Body, visit)
	}
	for _, f := range program.Functions {
		syntaxWalk(f.Body, visit)
	}
}

// syntaxWalk visits a node and all that is in it.
func syntaxWalk(n syntax.Node, visit func(syntax.Node)) {
	visit(n)
	walk := func(children ...syntax.Node) {
		for _, child := range children {
			if child != nil {
				syntaxWalk(child, visit)
			}
		}
	}
	block := func(b *syntax.Block) {
		if b != nil {
			syntaxWalk(b, visit)
		}
	}
	switch n := n.(type) {
	case *syntax.Block:
		for _, s := range n.Stmts {
			walk(s)
		}
	case *syntax.ExprStmt:
		walk(n.X)
	case *syntax.Assign:
		walk(n.Target, n.Value)
	case *syntax.Let:
		if n.Value != nil {
			walk(n.Value)
		}
	case *syntax.If:
		walk(n.Cond)
		block(n.Then)
		block(n.Else)
	case *syntax.While:
		walk(n.Cond)
		block(n.Body)
	case *syntax.Unroll:
		walk(n.Count)
		block(n.Body)
	case *syntax.For:
		walk(n.From)
		if n.To != nil {
			walk(n.To)
		}
		block(n.Body)
	case *syntax.Jump:
		if n.Value != nil {
			walk(n.Value)
		}
	case syntax.Expr:
		walk(parts(n)...)
	}
}

// parts are the expressions and statements directly inside of an expression.
func parts(x syntax.Expr) []syntax.Node {
	var out []syntax.Node
	add := func(list ...syntax.Expr) {
		for _, x := range list {
			if x != nil {
				out = append(out, x)
			}
		}
	}
	switch x := x.(type) {
	case *syntax.Map:
		add(x.Key)
	case *syntax.Tuple:
		add(x.Elems...)
	case *syntax.Record:
		for _, f := range x.Fields {
			add(f.Value)
		}
	case *syntax.Call:
		add(x.Args...)
	case *syntax.Field:
		add(x.Base)
	case *syntax.TupleIndex:
		add(x.Base)
	case *syntax.Index:
		add(x.Base, x.Index)
	case *syntax.Unary:
		add(x.X)
	case *syntax.Step:
		add(x.X)
	case *syntax.Binary:
		add(x.Left, x.Right)
	case *syntax.Ternary:
		add(x.Cond, x.Then, x.Else)
	case *syntax.Cast:
		add(x.X)
	case *syntax.Sizeof:
		add(x.X)
	case *syntax.Offsetof:
		add(x.X)
	case *syntax.BlockExpr:
		for _, s := range x.Stmts {
			out = append(out, s)
		}
		add(x.Value)
	}
	return out
}
