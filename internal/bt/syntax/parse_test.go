// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/compile"
)

// arguments are what the scripts of these tests are run with.
var arguments = []string{"vfs_read", "42", "-7", "/bin/sh"}

// parse reads a script that has to be right.
func parse(t *testing.T, text string) *Program {
	t.Helper()
	program, errors := Parse(text, arguments)
	for _, err := range errors {
		t.Errorf("unexpected error\n%s", err.Render("script", text))
	}
	return program
}

// withoutPositions sets all positions inside v to nothing.
func withoutPositions(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			withoutPositions(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			withoutPositions(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[compile.Pos]() {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			withoutPositions(v.Field(i))
		}
	}
}

// sameWhenPrinted proves that what Print writes of a tree is read as the same tree.
func sameWhenPrinted(t *testing.T, program *Program, args []string) {
	t.Helper()
	text := Print(program)
	again, errors := Parse(text, args)
	if err := errors.Err(); err != nil {
		t.Fatalf("what was printed cannot be read: %v\n%s", err, text)
	}
	withoutPositions(reflect.ValueOf(program))
	withoutPositions(reflect.ValueOf(again))
	if !reflect.DeepEqual(program, again) {
		t.Fatalf("what was printed is read as something else\nprinted:\n%s\nprinted again:\n%s", text, Print(again))
	}
}

// scripts calls f with each .bt file below a folder.
func scripts(t *testing.T, folder string, f func(t *testing.T, text string)) int {
	t.Helper()
	count := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".bt" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		count++
		t.Run(filepath.Base(path), func(t *testing.T) { f(t, string(text)) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestCorpusIsReadAndPrinted(t *testing.T) {
	n := scripts(t, "testdata", func(t *testing.T, text string) {
		sameWhenPrinted(t, parse(t, text), arguments)
	})
	if n < 5 {
		t.Fatalf("found %d scripts in testdata", n)
	}
}

func TestInterpreter(t *testing.T) {
	program := parse(t, "#!/usr/bin/env bpftrace -q\r\n#include <a.h>\nBEGIN { }")
	if program.Interpreter != "#!/usr/bin/env bpftrace -q" || len(program.Definitions) != 1 || len(program.Probes) != 1 {
		t.Errorf("read as\n%s", Print(program))
	}
	sameWhenPrinted(t, program, nil)
}

// TestForeignScripts reads the scripts of a checkout of bpftrace: its tools and those of
// its runtime tests, which are not ours to commit.
func TestForeignScripts(t *testing.T) {
	checkout := os.Getenv("SKEP_BPFTRACE_CHECKOUT")
	if checkout == "" {
		t.Skip("needs a checkout of bpftrace: set SKEP_BPFTRACE_CHECKOUT to its path (tag v0.23.2)")
	}
	n := scripts(t, filepath.Join(checkout, "tools"), func(t *testing.T, text string) {
		sameWhenPrinted(t, parse(t, text), arguments)
	})
	if n < 39 {
		t.Errorf("found %d tools, expected at least 39", n)
	}
	t.Logf("%d tools", n)
	count, failed := 0, 0
	for _, text := range runtimePrograms(t, filepath.Join(checkout, "tests", "runtime")) {
		count++
		program, errors := Parse(text, arguments)
		if len(errors) > 0 {
			failed++
			t.Logf("not read\n%s", errors[0].Render("script", text))
			continue
		}
		sameWhenPrinted(t, program, arguments)
	}
	t.Logf("%d programs of the runtime tests, %d not read", count, failed)
	// Some are there to be refused: see what -v says.
	if count < 700 || failed > 20 {
		t.Errorf("%d of %d programs of the runtime tests were not read", failed, count)
	}
}

// runtimePrograms are the programs in the files of bpftrace's runtime tests: PROG and the
// lines that go on behind it, and the argument of -e in RUN.
func runtimePrograms(t *testing.T, folder string) []string {
	t.Helper()
	var programs []string
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		open := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			program, ok := strings.CutPrefix(line, "PROG ")
			switch {
			case ok:
				programs = append(programs, program)
			case open && strings.HasPrefix(line, "     "):
				programs[len(programs)-1] += "\n" + line[5:]
				ok = true
			case strings.HasPrefix(line, "RUN "):
				if _, rest, found := strings.Cut(line, " -e '"); found {
					program, _, _ = strings.Cut(rest, "'")
					programs = append(programs, program)
				}
			}
			open = ok
		}
	}
	return programs
}
