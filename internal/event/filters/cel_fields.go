// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/types"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/spelling"
)

// recordFields tells CEL the fields of records. It is the registry of CEL but
// for one thing: unsigned fields are plain ints in expressions, so that
// process.uid == 0 means what it says (CEL would demand 0u). A value above
// 2^63-1 shows as 2^63-1.
type recordFields struct {
	registry *types.Registry
	types.Provider
	top map[string]*types.FieldType
	// missing is the last field that the checker asked for in vain, and its message.
	missingIn, missing string
}

// wholeRecord is the variable for the record itself: record.namespace is the
// way to say namespace, which is a reserved word of CEL.
const wholeRecord = "record"

func newRecordFields() (*recordFields, error) {
	registry, err := types.NewProtoRegistry(types.ProtoTypeDefs(&skepv1.Record{}))
	if err != nil {
		return nil, fmt.Errorf("make CEL types: %w", err)
	}
	f := &recordFields{registry: registry, Provider: registry, top: map[string]*types.FieldType{}}
	descriptor := (&skepv1.Record{}).ProtoReflect().Descriptor()
	for i := range descriptor.Fields().Len() {
		name := string(descriptor.Fields().Get(i).Name())
		f.top[name], _ = f.FindStructFieldType(string(descriptor.FullName()), name)
	}
	f.missing = ""
	return f, nil
}

func (f *recordFields) variables() []*decls.VariableDecl {
	vars := []*decls.VariableDecl{decls.NewVariable(wholeRecord, cel.ObjectType("skep.v1.Record"))}
	for name, field := range f.top {
		vars = append(vars, decls.NewVariable(name, field.Type))
	}
	return vars
}

// FindStructFieldType implements types.Provider.
func (f *recordFields) FindStructFieldType(message, name string) (*types.FieldType, bool) {
	field, ok := f.registry.FindStructFieldType(message, name)
	if !ok {
		f.missingIn, f.missing = message, name
		return nil, false
	}
	if field.Type != types.UintType {
		return field, true
	}
	signed := *field
	signed.Type = types.IntType
	signed.GetFrom = func(target any) (any, error) {
		v, err := field.GetFrom(target)
		return toInt(v), err
	}
	return &signed, true
}

func toInt(v any) any {
	switch n := v.(type) {
	case uint64:
		return int64(min(n, math.MaxInt64))
	case uint32:
		return int64(n)
	case types.Uint:
		return int64(min(uint64(n), math.MaxInt64))
	}
	return v
}

var undeclared = regexp.MustCompile(`^undeclared reference to '([^']+)'`)

// hint is what to write instead, for a complaint of the checker.
func (f *recordFields) hint(complaint string) string {
	switch complaint {
	case "reserved identifier: namespace":
		return "write record.namespace"
	case "invalid matches argument":
		return "it is not a regular expression (RE2 syntax)"
	}
	if m := undeclared.FindStringSubmatch(complaint); m != nil {
		return didYouMean(m[1], append(f.topNames(), wholeRecord))
	}
	if complaint == fmt.Sprintf("undefined field '%s'", f.missing) {
		names, _ := f.FindStructFieldNames(f.missingIn)
		slices.Sort(names)
		return didYouMean(f.missing, names)
	}
	return ""
}

func (f *recordFields) topNames() []string {
	var names []string
	for name := range f.top {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func didYouMean(name string, names []string) string {
	if near := spelling.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(names) <= 32 {
		return "the fields are " + strings.Join(names, ", ")
	}
	return ""
}

// activation resolves the variables of an expression for one record.
type activation struct {
	fields *recordFields
	record *skepv1.Record
}

// ResolveName implements cel.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	if name == wholeRecord {
		return a.record, true
	}
	field, ok := a.fields.top[name]
	if !ok {
		return nil, false
	}
	v, err := field.GetFrom(a.record)
	return v, err == nil
}

// Parent implements cel.Activation.
func (a activation) Parent() cel.Activation { return nil }
