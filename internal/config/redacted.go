// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/redact"
)

// Redacted writes the configuration as a skep.yaml that may be shown to others: values that
// are tagged as secret are replaced, and passwords in URLs.
func (c Config) Redacted() string {
	rules, err := redact.Compile(redact.Options{Defaults: true})
	if err != nil {
		panic(err) // the built-in rules compile: a test of theirs
	}
	p := printer{rules: rules}
	p.fields(reflect.ValueOf(c), "")
	return p.String()
}

type printer struct {
	strings.Builder
	rules *redact.Rules
}

func (p *printer) fields(v reflect.Value, indent string) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		p.entry(tag.Get("yaml"), v.Field(i), indent, tag.Get("secret") == "true")
	}
}

// entry writes one key. Strings are written as JSON would, which YAML takes too.
func (p *printer) entry(key string, v reflect.Value, indent string, secret bool) {
	switch {
	case v.Kind() == reflect.Struct:
		fmt.Fprintf(p, "%s%s:\n", indent, key)
		p.fields(v, indent+"  ")
	case v.Kind() == reflect.Map && v.Len() > 0:
		fmt.Fprintf(p, "%s%s:\n", indent, key)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			p.entry(k.String(), v.MapIndex(k), indent+"  ", secret)
		}
	default:
		fmt.Fprintf(p, "%s%s: %s\n", indent, key, p.value(v, secret))
	}
}

func (p *printer) value(v reflect.Value, secret bool) string {
	switch v.Kind() {
	case reflect.Map:
		return "{}"
	case reflect.String:
		return p.text(v.String(), secret)
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = p.value(v.Index(i), secret)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

func (p *printer) text(s string, secret bool) string {
	if secret && s != "" {
		return strconv.Quote(redact.Mark)
	}
	return strconv.Quote(string(p.rules.Text([]byte(s))))
}
