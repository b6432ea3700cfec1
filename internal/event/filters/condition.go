// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Condition is a condition on one field, given as a path such as exit.code: Filter matches a
// record only if the field, of which it looks at nothing else, has such a value.
type Condition struct {
	Path   string
	Filter *Filter
}

// maxConditions bounds what is compiled for one expression.
const maxConditions = 8

// Conditions are conditions that an expression implies: what it joins by && and speaks of a
// single number, text or truth value. An absent field satisfies none of them, and each comes
// to a result for it. An index may use them to find records, as it may [Equalities], which are
// not among them; that there are none says nothing.
func Conditions(where string) (found []Condition) {
	for _, e := range conjuncts(nil, parsed(where)) {
		if _, is := equalityOf(e); is || e == nil || len(found) == maxConditions {
			continue
		}
		path, ok := onlyField(e, "")
		if !ok || path == "" || leafField(path) == nil {
			continue
		}
		text, err := parser.Unparse(e, ast.NewSourceInfo(nil))
		if err != nil {
			continue
		}
		filter, err := Compile(&skepv1.Filter{Where: text}, Deps{})
		if err != nil || filter.Match(&skepv1.Record{}) || filter.Failures() > 0 {
			continue // of what comes to no result for an absent field nothing may be left out unsaid
		}
		found = append(found, Condition{path, filter})
	}
	return found
}

// onlyField is the one field that an expression speaks of, beside one that was found before.
func onlyField(e ast.Expr, before string) (path string, ok bool) {
	var parts []ast.Expr
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		path, ok = fieldPath(e)
		return path, ok && (before == "" || before == path)
	case ast.LiteralKind:
		return before, true
	case ast.ListKind:
		parts = e.AsList().Elements()
	case ast.CallKind:
		parts = e.AsCall().Args()
		if e.AsCall().IsMemberFunction() {
			parts = append(parts[:len(parts):len(parts)], e.AsCall().Target())
		}
	default:
		return "", false
	}
	for _, part := range parts {
		if before, ok = onlyField(part, before); !ok {
			return "", false
		}
	}
	return before, true
}
