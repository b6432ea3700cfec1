// SPDX-License-Identifier: Apache-2.0

package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"
)

func parse(t *testing.T, f file) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, f.name, f.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return set, syntax
}

// TestPackageComments: every package says what it is.
func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range files(t, ".go") {
		_, syntax := parse(t, f)
		dir := path.Dir(f.name)
		documented[dir] = documented[dir] || syntax.Doc != nil || f.generated()
	}
	for dir, ok := range documented {
		if !ok && !onlyTests(t, dir) {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func onlyTests(t *testing.T, dir string) bool {
	for _, f := range files(t, ".go") {
		if path.Dir(f.name) == dir && !strings.HasSuffix(f.name, "_test.go") {
			return false
		}
	}
	return true
}

func TestExportedComments(t *testing.T) {
	for _, f := range files(t, ".go") {
		if !strings.HasPrefix(f.name, "internal/") || strings.HasSuffix(f.name, "_test.go") || f.generated() {
			continue
		}
		set, syntax := parse(t, f)
		for _, missing := range undocumented(set, syntax) {
			t.Error(missing)
		}
	}
}

// conventional methods say what they are by their name.
var conventional = map[string]bool{"Error": true, "String": true, "Unwrap": true, "Is": true}

// undocumented names the exported declarations without a comment. One comment
// serves a whole group of constants or variables.
func undocumented(set *token.FileSet, syntax *ast.File) []string {
	var missing []string
	note := func(name *ast.Ident, documented bool) {
		if name.IsExported() && !documented {
			missing = append(missing, fmt.Sprintf("%s: exported %s has no comment", set.Position(name.Pos()), name.Name))
		}
	}
	for _, d := range syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			method := d.Recv != nil && (conventional[d.Name.Name] || !ast.IsExported(receiver(d)))
			note(d.Name, d.Doc != nil || method)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				specNames(s, d.Doc != nil, note)
			}
		}
	}
	return missing
}

func specNames(s ast.Spec, group bool, note func(*ast.Ident, bool)) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		note(s.Name, group || s.Doc != nil)
	case *ast.ValueSpec:
		for _, name := range s.Names {
			note(name, group || s.Doc != nil || s.Comment != nil)
		}
	}
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	name, _ := t.(*ast.Ident)
	return fmt.Sprint(name)
}

func TestUndocumented(t *testing.T) {
	text := `package a

type A struct{}

// B is documented.
type B struct{}

func (A) M() {}
func (A) String() string { return "" }
func (*c) N() {}
func F() {}
func f() {}

type c struct{}

// D and E are documented.
const (
	D = 1
	E = 2
)

var (
	G = 1
	H = 2 // with a comment
)
`
	set, syntax := parse(t, file{name: "a.go", text: []byte(text)})
	var names []string
	for _, line := range undocumented(set, syntax) {
		names = append(names, strings.Fields(line)[2])
	}
	if got, want := strings.Join(names, " "), "A M F G"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
