// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/privacy.md"

var row = regexp.MustCompile("(?m)^\\| (.+?) \\| `(.+?)` \\| `(.+?)` \\|$")

// shellWords splits what a shell would, and needs no more than single quotes.
func shellWords(line string) string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return strings.Join(words, "\x00")
}

// TestPage runs the examples of docs/privacy.md.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	r := compile(t, Options{Defaults: true})
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 30 {
		t.Fatalf("only %d examples found", len(rows))
	}
	for _, m := range rows {
		clean, _ := r.Args([]byte(shellWords(m[2])))
		if want := shellWords(m[3]); string(clean) != want {
			t.Errorf("%s: %s\n got %q\nwant %q", m[1], m[2], clean, want)
		}
	}
}

// TestPageIsComplete: every entry of the tables is on the page.
func TestPageIsComplete(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := func(word string) {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("%s does not say `%s`", page, word)
		}
	}
	for _, list := range [][]string{secretParts, secretEnds, keyOwners, harmlessEnds, harmlessStarts} {
		for _, word := range list {
			want(word)
		}
	}
	for _, shape := range shapes {
		want(shape.begin)
	}
	for _, c := range commands {
		for _, name := range c.names {
			want(name)
		}
		for _, f := range c.flags {
			if !regexp.MustCompile("`[^`]*"+strings.TrimSuffix(c.names[0], "*")+"[^`]* "+regexp.QuoteMeta(f.name)).Match(text) &&
				!regexp.MustCompile("(?m)^\\| [^|]*`"+regexp.QuoteMeta(c.names[0])+"`[^|]*\\| `[^`]* "+regexp.QuoteMeta(f.name)).Match(text) {
				t.Errorf("%s has no example of %s %s", page, c.names[0], f.name)
			}
		}
	}
}
