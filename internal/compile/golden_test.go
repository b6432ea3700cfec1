// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// TestGolden compares what small programs are compiled to with what a reviewer found good.
// After a change to the compiler, run it with -update and read the difference.
func TestGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			p := g.program()
			code, err := Compile(p, g.options)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s\n%sframe %d\n", p, code, code.Frame)
			path := filepath.Join("testdata", "golden", g.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// one is a program of one function.
func one(build func(b *Builder), params ...Type) func() *Program {
	return func() *Program {
		b := NewBuilder("entry", Word, params...)
		build(b)
		return &Program{Funcs: []*Func{b.Func}, Maps: goldenMaps}
	}
}

var goldenMaps = map[string]MapShape{"counts": {8, 8, false}, "scratch": {4, 256, false}, "programs": {4, 4, false}}

// goldens are the programs. Each has to load: see TestGoldensLoad.
var goldens = []struct {
	name    string
	program func() *Program
	options Options
}{
	{"nothing", one(func(b *Builder) { b.Return(b.Const(0)) }), Options{}},
	{"fold", one(foldProgram, Context), Options{}},
	{"count", one(countProgram), Options{}},
	{"pidfilter", one(pidFilter, Context), Options{}},
	{"and", one(andProgram, Context), Options{}},
	{"loop", one(loopProgram, Context), Options{}},
	{"padding", one(paddingProgram, Context), Options{}},
	{"copy", one(copyProgram), Options{}},
	{"immediates", one(immediatesProgram), Options{}},
	{"flags", one(flagsProgram, Context), Options{}},
	{"across", one(acrossProgram, Context), Options{}},
	{"spill", one(spillProgram, Context), Options{}},
	{"exchange", exchangeProgram, Options{}},
	{"callback", callbackProgram, Options{}},
	{"bound", one(boundProgram, Context), Options{}},
	{"places", one(placesProgram, Context), Options{}},
	{"context", one(contextProgram, Context), Options{}},
	{"scratch", one(scratchProgram, Context), Options{}},
	{"signed", one(signedProgram, Context), Options{}},
	{"signed4", one(signedProgram, Context), Options{CPU: 4}},
	{"boolean", one(booleanProgram, Context), Options{}},
	{"lookups", one(lookupsProgram, Context), Options{}},
	{"tail", one(tailProgram, Context), Options{}},
	{"order", one(orderProgram, Context), Options{}},
}
