// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are mistakes in the compiler's own passes, each a change of a line that the compiler
// could have been written with. In the test's binary all are there, and the environment says
// which one is made.
var mutants = []struct{ name, file, old, new string }{
	{"swap problem: parallel copies in any order", "moves.go",
		`if i != j && sameplace(other.src, m.dst) {`, `if mutant != %d && i != j && sameplace(other.src, m.dst) {`},
	{"a cycle of copies reads what it has overwritten", "moves.go",
		`pending[i].src = saved`, `if mutant != %d { pending[i].src = saved } else { pending[i].src = pending[0].src }`},
	{"a lookup is shared over an update of the map", "lookups.go",
		`return v.Imm == mapUpdate || v.Imm == mapDelete`, `return v.Imm == mapUpdate && mutant != %d || v.Imm == mapDelete`},
	{"a lookup is shared over a delete", "lookups.go",
		`v.Imm == mapDelete || v.Imm == forEach`, `v.Imm == mapDelete && mutant != %d || v.Imm == forEach`},
	{"a lookup is shared where ways meet that change the map", "lookups.go",
		`known.changeAll(x)
	}
	for _, x`, `if mutant != %d { known.changeAll(x) }
	}
	for _, x`},
	{"keys of lookups are told apart by their first byte", "lookups.go",
		`return strings.Join(bytes[:size], " "), made`, `if mutant == %d { size = 1 }; return strings.Join(bytes[:size], " "), made`},
	{"a store is dead that a call reads", "slots.go",
		`if n := s.root[a.ID]; n >= 0 && !s.escaped[n] {`, `if n := s.root[a.ID]; n >= 0 && !s.escaped[n] && mutant != %d {`},
	{"a helper is taken to fill what it fills up to the end of a text", "slots.go",
		`!fillingHelpers[v.Imm]`, `!(fillingHelpers[v.Imm] || mutant == %d && v.Imm == 114)`},
	{"slots share a place though both are alive", "frame.go",
		`live.each(func(b int) { meet(a, b) })`, `if mutant != %d { live.each(func(b int) { meet(a, b) }) }`},
	{"loads of memory that changes are shared", "stable.go",
		`return v.Args[0].Type == Context && !n.contextChanges`, `return mutant == %d || v.Args[0].Type == Context && !n.contextChanges`},
	{"a branch on a constant goes the other way", "branches.go",
		`if b.Control.Imm == 0 {`, `if b.Control.Imm == 0 != (mutant == %d) {`},
	{"a comparison that held is taken for one that did not", "number.go",
		`if p.Succs[0] == b {`, `if p.Succs[0] == b != (mutant == %d) {`},
	{"calls leave r5 as it was", "interval.go",
		`for r := range 6 {`, `for r := range 6 - one(mutant == %d) {`},
	{"spilled values share a word though both live", "place.go",
		`return end <= e.from`, `return end <= e.from || mutant == %d`},
	{"a value is loaded from the frame before it was stored there", "moves.go",
		`return !m.dst.is(spill) || pos <= p.stored[r]`, `return mutant != %d && (!m.dst.is(spill) || pos <= p.stored[r])`},
	{"a mask is dropped that clears a bit", "algebra.go",
		`(uint64(1)<<w-1)&^uint64(n) == 0`, `(uint64(1)<<w-1)&^uint64(n) <= uint64(one(mutant == %d))`},
	{"not less is less or equal with the same operands", "algebra.go",
		`if exchange {`, `if exchange && mutant != %d {`},
	{"the remainder has the sign of the divisor", "division.go",
		`op, sign := UMod, sx`, `op, sign := UMod, sx; if mutant == %d { sign = sy }`},
}

// mutantSource is what the mutants have in common: the number of the one that is made.
const mutantSource = `package compile

import (
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("SKEP_MUTANT"))

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
`

// overlay writes the compiler with all mutants, and a file that tells go build of it.
func overlay(t *testing.T, dir string) string {
	t.Helper()
	source, err := filepath.Abs("../compile")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"mutant.go": mutantSource}
	for i, m := range mutants {
		if texts[m.file] == "" {
			b, err := os.ReadFile(filepath.Join(source, m.file))
			if err != nil {
				t.Fatal(err)
			}
			texts[m.file] = string(b)
		}
		if strings.Count(texts[m.file], m.old) != 1 {
			t.Fatalf("%s: %s has %d of %q", m.name, m.file, strings.Count(texts[m.file], m.old), m.old)
		}
		texts[m.file] = strings.Replace(texts[m.file], m.old, strings.ReplaceAll(m.new, "%d", fmt.Sprint(i+1)), 1)
	}
	replace := map[string]string{}
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(source, name)] = path
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMutants proves that random scripts would notice a compiler that is wrong: with each
// mutant TestRandomScripts fails, and without any it does not.
func TestMutants(t *testing.T) {
	const enough = 1000
	dir := t.TempDir()
	binary := filepath.Join(dir, "mutants")
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay(t, dir), "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	run := func(number, scripts int) (string, error) {
		cmd := exec.Command(binary, "-test.run=^TestRandomScripts$", fmt.Sprintf("-scripts=%d", scripts), "-first")
		cmd.Env = append(os.Environ(), fmt.Sprintf("SKEP_MUTANT=%d", number))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(0, 50); err != nil {
		t.Fatalf("without a mutant: %v\n%s", err, out)
	}
	for i, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			out, err := run(i+1, enough)
			if err == nil {
				t.Fatalf("%d random scripts did not notice", enough)
			}
			if !strings.Contains(out, "--- FAIL: TestRandomScripts") {
				t.Fatalf("it did not fail as it should: %v\n%s", err, out)
			}
		})
	}
}
