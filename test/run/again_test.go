// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// once is what the tests of a module call to fail the first time only, and try to be counted.
const once = `
func once(t *testing.T, name string) {
	if try(name) == 1 {
		t.Error("broken " + name)
	}
}

func try(name string) int {
	file := os.Getenv("TRIES") + "/" + name
	tries, _ := os.ReadFile(file)
	os.WriteFile(file, append(tries, 'x'), 0o644)
	return len(tries) + 1
}
`

// TestAgain has the real go command run again what failed, and not what broke.
func TestAgain(t *testing.T) {
	many := ""
	for i := range mostAgain + 1 {
		many += fmt.Sprintf("func Test%d(t *testing.T) { once(t, \"%d\") }\n", i, i)
	}
	for _, tt := range []struct {
		name, body            string
		passed, flaky, failed int
		tries                 map[string]int // how often a test ran
		says                  []string
	}{
		{name: "the first time only", body: `func TestA(t *testing.T) { once(t, "a") }
func TestB(t *testing.T) { once(t, "b") }
func TestAB(t *testing.T) { try("ab") }`,
			passed: 1, flaky: 2, tries: map[string]int{"a": 2, "b": 2, "ab": 1}, says: []string{" TestA passed when it was run again, alone\n", "broken a"}},
		{name: "always", body: `func TestA(t *testing.T) { once(t, "a"); t.Error("always broken") }`,
			failed: 1, tries: map[string]int{"a": 2}, says: []string{"TestA did not pass when it was run again", "failed twice"}},
		{name: "a subtest, by its full name", body: `func TestA(t *testing.T) {
	for _, name := range []string{"(x|y) [z", "w"} {
		t.Run(name, func(t *testing.T) {
			t.Run("1.0", func(t *testing.T) { once(t, name) })
			t.Run("110", func(t *testing.T) { try("+" + name) })
		})
	}
}`, passed: 2, flaky: 2, tries: map[string]int{"(x|y) [z": 2, "w": 2, "+w": 1}, says: []string{"TestA/(x|y)_[z/1.0 passed when"}},
		{name: "a data race", body: `func TestA(t *testing.T) { if try("a") == 1 { t.Error("race detected during execution of test") } }`,
			failed: 1, tries: map[string]int{"a": 1}},
		{name: "a parent that fails itself", body: `func TestA(t *testing.T) { t.Run("x", func(*testing.T) {}); once(t, "a") }`,
			passed: 1, flaky: 1, tries: map[string]int{"a": 2}},
		{name: "a parent that fails beside its subtest", body: `func TestA(t *testing.T) { t.Run("x", func(t *testing.T) { once(t, "x") }); t.Error("itself") }`,
			failed: 1, tries: map[string]int{"x": 2}},
		{name: "skipped then", body: `func TestA(t *testing.T) { once(t, "a"); if !t.Failed() { t.Skip("not now") } }`, failed: 1, tries: map[string]int{"a": 2}},
		{name: "too many", body: many, failed: mostAgain + 1, tries: map[string]int{"0": 1}, says: []string{"none is run again"}},
		{name: "panics", body: `func TestA(t *testing.T) { once(t, "a") }
func TestB(t *testing.T) { once(t, "b"); if t.Failed() { panic("boom") } }
func TestNeverRun(t *testing.T) { t.Error("nobody has seen this") }`, failed: 2, tries: map[string]int{"a": 1, "b": 1}, says: []string{"not all tests have run"}},
		{name: "takes too long", body: `func TestA(t *testing.T) { once(t, "a"); if t.Failed() { time.Sleep(time.Minute) } }`, failed: 1, tries: map[string]int{"a": 1}},
		{name: "exits", body: `func TestA(t *testing.T) { once(t, "a"); if t.Failed() { os.Exit(1) } }`, failed: 1, tries: map[string]int{"a": 1}},
		{name: "does not build", body: `func TestA(t *testing.T) { undefinedName() }`, failed: 1},
		{name: "TestMain fails", body: `func TestA(t *testing.T) {}
func TestMain(m *testing.M) { m.Run(); os.Exit(3) }`, passed: 1, failed: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			realModule(t, map[string]string{"p_test.go": test(tt.body + once), "q/q_test.go": test("var _ testing.TB")})
			dir := t.TempDir()
			var out bytes.Buffer
			got := &tally{out: &out}
			g := goTests{env: []string{"TRIES=" + dir}, flags: []string{"-timeout=5s"}, packages: []string{"./..."}}
			if err := g.run(t.Context(), got); err != nil {
				t.Errorf("got error %v", err)
			}
			if p, f, b := got.count(passed), got.count(flaky), got.count(failed); p != tt.passed || f != tt.flaky || b != tt.failed {
				t.Errorf("%d passed, %d flaky, %d failed; want %d, %d, %d\n%s", p, f, b, tt.passed, tt.flaky, tt.failed, out.String())
			}
			for name, want := range tt.tries {
				if tries, _ := os.ReadFile(filepath.Join(dir, name)); len(tries) != want {
					t.Errorf("%s ran %d times, want %d", name, len(tries), want)
				}
			}
			got.summarise()
			for _, want := range tt.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("does not say %q:\n%s", want, out.String())
				}
			}
		})
	}
}

// TestFlakyIsShown: a run passes with a few flaky tests, and tells of each what it said at first.
func TestFlakyIsShown(t *testing.T) {
	t.Setenv("CI", "")
	t.Chdir("../..")
	run := func(n int) (bool, string) {
		var out bytes.Buffer
		ok := runAll(t.Context(), &out, []stage{{name: "s", run: func(_ context.Context, t *tally) error {
			t.add(result{pkg: "p", name: "TestGood", outcome: passed})
			for i := range n {
				t.add(result{pkg: "p", name: fmt.Sprintf("Test%d", i), outcome: flaky, output: "    a_test.go:7: the moon was full\n"})
			}
			return nil
		}}})
		return ok, out.String()
	}
	ok, text := run(mostFlaky)
	if !ok || !strings.HasSuffix(text, fmt.Sprintf("\n1 passed, %d flaky, 0 failed, 0 skipped\n", mostFlaky)) {
		t.Errorf("%v\n%s", ok, text)
	}
	if !strings.Contains(text, "\nflaky p Test0 (s)\n") || !strings.Contains(text, "a_test.go:7: the moon was full\n") {
		t.Errorf("does not show what is flaky:\n%s", text)
	}
	if ok, text := run(mostFlaky + 1); ok || !strings.HasSuffix(text, fmt.Sprintf("\n1 passed, %d flaky, 1 failed, 0 skipped\n", mostFlaky+1)) {
		t.Errorf("%v\n%s", ok, text)
	}
}

// TestProgress: what a test tells of its progress is shown when it tells it, and nothing else is.
func TestProgress(t *testing.T) {
	realModule(t, map[string]string{"p_test.go": test(`func TestA(t *testing.T) { t.Log("progress: half is done"); t.Log("hidden"); t.Log("no progress: hidden too") }`)})
	var out bytes.Buffer
	got := &tally{out: &out}
	if err := (goTests{packages: []string{"./..."}}).run(t.Context(), got); err != nil {
		t.Error(err)
	}
	if text := out.String(); !strings.HasPrefix(text, "      half is done\nok ") || strings.Contains(text, "hidden") {
		t.Errorf("%s", text)
	}
}
