// SPDX-License-Identifier: Apache-2.0

package bt

import "github.com/skep-io/skep/internal/bt/syntax"

// textReaders are the functions that look at a text up to its end only.
var textReaders = map[string]bool{
	"printf": true, "errorf": true, "warnf": true, "system": true, "cat": true, "print": true, "strncmp": true,
}

// evalText builds an expression that is looked at as a text, if it is one: up to its end. In
// the frame all of it is written nevertheless, as nothing else may be read there.
func (f *lowering) evalText(x syntax.Expr) value {
	t := f.typeOf(x)
	if call, ok := x.(*syntax.Call); !ok || t.Kind != String || call.Name != "str" && call.Name != "kstr" && call.Name != "ustr" {
		return f.eval(x)
	}
	p := f.memory(t.stored())
	p.loose = f.scratch != nil && p.base == f.scratch
	f.into(p, t, x)
	return value{typ: t, at: p}
}

// findLoose marks the variables that hold texts of which nobody looks behind the end, because
// they are printed or compared as texts and nothing else. What is there may stay as it was:
// reading a text into one of them clears nothing.
func (u *unit) findLoose() {
	reads, asTexts := map[*variable]int{}, map[*variable]int{}
	text := func(list ...syntax.Expr) {
		for _, x := range list {
			if v := u.vars[x]; v != nil {
				asTexts[v]++
			}
		}
	}
	visit := func(n syntax.Node) {
		switch n := n.(type) {
		case *syntax.Variable:
			reads[u.vars[n]]++
		case *syntax.Assign:
			if target, ok := n.Target.(*syntax.Variable); ok && n.Op == syntax.NoOp {
				reads[u.vars[target]]--
			}
		case *syntax.Call:
			if textReaders[n.Name] {
				text(n.Args...)
			}
		case *syntax.Binary:
			if n.Op == syntax.Equal || n.Op == syntax.NotEqual {
				text(n.Left, n.Right)
			}
		}
	}
	switch {
	case u.fn != nil:
		syntaxWalk(u.fn.decl.Body, visit)
	case u.probe != nil:
		syntaxWalk(u.probe.Body, visit)
	}
	for _, v := range u.variables {
		v.loose = v.typ.Kind == String && reads[v] == asTexts[v]
	}
}
