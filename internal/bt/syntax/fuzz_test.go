// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse proves that no text crashes the parser, and that what it accepts is printed as
// text that it reads as the same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.bt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "arg")
	}
	for _, text := range []string{
		`"a=*":f{}`, "*://*:x{}", "BEGIN{(a[1])(b)++c}", "#define a b\nk:a/a/{a.a}", "i:1m{-(-1)-- -1}",
		"BEGIN{sizeof((a[1]));(string[0][2])1;(a?:b)?c:d;{{1}}}", "u:a\\ b:\"\\x00\"{&&1}",
	} {
		f.Add(text, "1:2")
	}
	f.Fuzz(func(t *testing.T, text, arg string) {
		args := []string{arg}
		for column := range len(text) + 2 {
			if n := WordLength(text, column); n < 0 || n > len(text) {
				t.Fatalf("column %d: a word of %d bytes", column, n)
			}
			if column > 64 { // each may read all that is behind it
				break
			}
		}
		program, errors := Parse(text, args)
		for _, err := range errors {
			if err.Length < 1 {
				t.Fatalf("error without length: %+v", err)
			}
			err.Render("script", text)
		}
		if len(errors) == 0 {
			sameWhenPrinted(t, program, args)
		}
	})
}
