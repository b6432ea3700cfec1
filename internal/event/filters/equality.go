// SPDX-License-Identifier: Apache-2.0

package filters

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
func Equalities(where string) (found []Equality) {
	for _, e := range conjuncts(nil, parsed(where)) {
		if equality, ok := equalityOf(e); ok {
			found = append(found, equality)
		}
	}
	return found
}

// parsed is nil for an expression that does not compile.
func parsed(where string) ast.Expr {
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
	return compiled.NativeRep().Expr()
}

func conjuncts(found []ast.Expr, e ast.Expr) []ast.Expr {
	if e == nil || e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.LogicalAnd {
		return append(found, e)
	}
	for _, arg := range e.AsCall().Args() {
		found = conjuncts(found, arg)
	}
	return found
}

func equalityOf(e ast.Expr) (Equality, bool) {
	if e == nil || e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Equals {
		return Equality{}, false
	}
	args := e.AsCall().Args()
	for i := range args {
		path, ok := fieldPath(args[i])
		value, isText := textLiteral(args[1-i])
		// An absent message has fields too, which are "".
		if field := leafField(path); ok && isText && value != "" && field != nil && field.Kind() == protoreflect.StringKind {
			return Equality{path, value}, true
		}
	}
	return Equality{}, false
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

// leafField is the field that a path leads to through messages, nil if that is no number,
// text or truth value, or lies in a map or list.
func leafField(path string) protoreflect.FieldDescriptor {
	d := (&skepv1.Record{}).ProtoReflect().Descriptor()
	for {
		name, rest, more := strings.Cut(path, ".")
		f := d.Fields().ByName(protoreflect.Name(name))
		if f == nil || f.IsList() || f.IsMap() || more == (f.Message() == nil) {
			return nil
		}
		if !more {
			return f
		}
		d, path = f.Message(), rest
	}
}

func textLiteral(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
