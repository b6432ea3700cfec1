// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/skep-io/skep/internal/spelling"
)

// Error is one fault in a configuration file. Line and Column count from 1;
// 0 is not known.
type Error struct {
	File         string
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return e.File + ": " + e.Message
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

type position struct{ line, column int }

// decoder walks a YAML tree along a Go type and collects the faults.
type decoder struct {
	file   string
	faults []*Error
	// at has the position of each value that was set, by dotted path.
	at map[string]position
	// wrong are the paths of values that could not be set, or not in whole.
	wrong  []string
	filter FilterCheck // or nil
}

func (d *decoder) fault(p position, format string, args ...any) {
	d.faults = append(d.faults, &Error{d.file, p.line, p.column, fmt.Sprintf(format, args...)})
}

// unset is the fault of a value that stays as it was, or that is set in part only.
func (d *decoder) unset(path string, p position, format string, args ...any) {
	d.wrong = append(d.wrong, path)
	d.fault(p, format, args...)
}

// whole tells whether a value, and all that is in it, is what the file says.
func (d *decoder) whole(path string) bool {
	return !slices.ContainsFunc(d.wrong, func(w string) bool { return w == path || strings.HasPrefix(w, path+".") })
}

func (d *decoder) err() error {
	slices.SortStableFunc(d.faults, func(a, b *Error) int {
		return (a.Line-b.Line)*1000 + a.Column - b.Column
	})
	errs := make([]error, len(d.faults))
	for i, f := range d.faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// where is the start of n. A block mapping's own token is its first colon, so
// its first key is asked.
func where(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		n = m.Key
	}
	p := n.GetToken().Position
	return position{p.Line, p.Column}
}

// parse returns the root of the only document, or nil for an empty one.
func (d *decoder) parse(data []byte) ast.Node {
	if line, bad := badByte(data); bad {
		d.fault(position{line: line}, "not YAML: a control character or a byte that is not UTF-8")
		return nil
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			d.fault(where(doc.Body), "a second document: one file is one configuration, remove the ---")
			return nil
		}
		root = doc.Body
	}
	return root
}

func (d *decoder) syntax(err error) {
	var at *yaml.SyntaxError
	if errors.As(err, &at) {
		p := at.Token.Position
		d.fault(position{p.Line, p.Column}, "not YAML: %s", at.Message)
		return
	}
	d.fault(position{}, "not YAML: %v", err)
}

// badByte finds what YAML does not allow in a file, and the line it is in.
func badByte(data []byte) (line int, bad bool) {
	line = 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return line, true
		}
		if r == '\n' {
			line++
		}
		data = data[n:]
	}
	return 0, false
}

// decode sets *into from n. A null leaves the default, so that a section
// whose keys are all commented out is no error.
func (d *decoder) decode(n ast.Node, path string, into any) {
	switch n.Type() {
	case ast.AliasType, ast.AnchorType, ast.TagType:
		d.unset(path, where(n), "anchors, aliases and tags are not used here: write the value out")
		return
	case ast.NullType:
		return
	}
	d.at[path] = where(n)
	v := reflect.ValueOf(into).Elem()
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, path, v)
		return
	case reflect.Map:
		d.named(n, path, v)
		return
	}
	if err := set(n, into); err != nil {
		d.unset(path, where(n), "%s %s", path, err)
	}
}

func (d *decoder) mapping(n ast.Node, path string, v reflect.Value) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.unset(path, where(n), "%s must be a mapping with the keys %s", orTop(path), strings.Join(keys(v.Type()), ", "))
		return
	}
	seen := map[string]int{}
	for entries := m.MapRange(); entries.Next(); {
		at := where(entries.Key())
		key := text(entries.Key())
		if line, twice := seen[key]; twice {
			d.unset(path, at, "key %q is there twice, first in line %d", key, line)
			continue
		}
		seen[key] = at.line
		field, ok := fieldByKey(v, key)
		if !ok {
			d.unset(path, at, "unknown key %q%s; %s", key, in(path), suggest(key, keys(v.Type())))
			continue
		}
		d.decode(entries.Value(), join(path, key), field.Addr().Interface())
	}
}

// defaulter is a type of named things that have defaults of their own.
type defaulter interface{ setDefaults() }

// named fills a map of things that have names of the user's choice.
func (d *decoder) named(n ast.Node, path string, v reflect.Value) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.unset(path, where(n), "%s must be a mapping from names", path)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for entries := m.MapRange(); entries.Next(); {
		at, key := where(entries.Key()), text(entries.Key())
		if len(key) > 64 || !names.MatchString(key) {
			d.unset(path, at, "%s: a name has 1 to 64 letters, digits, dashes or underscores, not %q", path, key)
			continue
		}
		if v.MapIndex(reflect.ValueOf(key)).IsValid() {
			d.unset(path, at, "key %q is there twice", key)
			continue
		}
		into := reflect.New(v.Type().Elem())
		if t, ok := into.Interface().(defaulter); ok {
			t.setDefaults()
		}
		d.decode(entries.Value(), join(path, key), into.Interface())
		v.SetMapIndex(reflect.ValueOf(key), into.Elem())
	}
}

var names = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keys(t reflect.Type) []string {
	var ks []string
	for i := range t.NumField() {
		ks = append(ks, t.Field(i).Tag.Get("yaml"))
	}
	return ks
}

func orTop(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// suggest names the nearest of the known keys, or all where none is near.
func suggest(key string, known []string) string {
	if near := spelling.Nearest(key, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "the keys here are " + strings.Join(known, ", ")
}

func readAtMost(r io.Reader, n int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(data)) > n {
		err = fmt.Errorf("larger than %s", Size(n))
	}
	return data, err
}
