// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Equality is a condition that a field, given as a path such as process.exec_id, has a value.
type Equality struct{ Path, Value string }

// Equalities are conditions that an expression implies: the comparisons of a string field
// with a constant among what it joins by &&. An index may use them to find records; that
// there are none says nothing. An expression that does not compile has none.
func Equalities(where string) []Equality {
	if where == "" {
		return nil
	}
	fields, err := newRecordFields()
	if err != nil {
		return nil
	}
	env, err := newWhereEnv(fields)
	if err != nil {
		return nil
	}
	compiled, issues := env.Compile(where)
	if issues.Err() != nil {
		return nil
	}
	return conjuncts(nil, compiled.NativeRep().Expr())
}

func conjuncts(found []Equality, e ast.Expr) []Equality {
	if e.Kind() != ast.CallKind {
		return found
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		for _, arg := range args {
			found = conjuncts(found, arg)
		}
	case operators.Equals:
		for i := range args {
			path, ok := fieldPath(args[i])
			value, isText := textLiteral(args[1-i])
			// An absent message has fields too, which are "".
			if ok && isText && value != "" && isTextField(path) {
				return append(found, Equality{path, value})
			}
		}
	}
	return found
}

// fieldPath is the path of a field of the record.
func fieldPath(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), true
	case ast.SelectKind:
		of, ok := fieldPath(e.AsSelect().Operand())
		if !ok || e.AsSelect().IsTestOnly() {
			return "", false
		}
		if of == wholeRecord {
			return e.AsSelect().FieldName(), true
		}
		return of + "." + e.AsSelect().FieldName(), true
	}
	return "", false
}

// isTextField says whether a path leads through messages to a string: not into a map.
func isTextField(path string) bool {
	d := (&skepv1.Record{}).ProtoReflect().Descriptor()
	for {
		name, rest, more := strings.Cut(path, ".")
		f := d.Fields().ByName(protoreflect.Name(name))
		if f == nil || f.IsList() || f.IsMap() {
			return false
		}
		if !more {
			return f.Kind() == protoreflect.StringKind
		}
		if d, path = f.Message(), rest; d == nil {
			return false
		}
	}
}

func textLiteral(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
