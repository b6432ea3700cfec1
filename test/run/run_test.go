// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realModule writes a module whose tests end in every way.
func realModule(t *testing.T, files map[string]string) {
	t.Helper()
	files["go.mod"] = "module example.test/m\n\ngo 1.26\n"
	t.Chdir(writeTree(t, files))
	t.Setenv("GOFLAGS", "-buildvcs=false")
}

func test(body string) string {
	return "package p\n\nimport (\n\t\"os\"\n\t\"testing\"\n\t\"time\"\n)\n\nvar _, _ = os.Exit, time.Sleep\n\n" + body
}

// TestGoTest has the real go command fail in each way that must be seen.
func TestGoTest(t *testing.T) {
	for _, tt := range []struct {
		name, body              string
		passed, failed, skipped int
		err                     string
		says                    []string
	}{
		{name: "pass and skip", body: `func TestA(t *testing.T) {}
func TestB(t *testing.T) { t.Skip("needs a moon: none here") }`, passed: 1, skipped: 1, says: []string{"skip: needs a moon: none here"}},
		{name: "subtests are counted, not their parents", body: `func TestA(t *testing.T) {
	t.Run("x", func(*testing.T) {})
	t.Run("y", func(t *testing.T) { t.Error("broken y") })
	t.Run("z", func(t *testing.T) { t.Skip("no z") })
}`, passed: 1, failed: 1, skipped: 1, says: []string{"FAIL  ", "TestA/y", "broken y"}},
		{name: "parent that fails itself", body: `func TestA(t *testing.T) { t.Run("x", func(*testing.T) {}); t.Error("afterwards") }`,
			passed: 1, failed: 1, says: []string{"afterwards"}},
		{name: "does not build", body: `func TestA(t *testing.T) { undefinedName() }`, failed: 1, says: []string{"undefined: undefinedName"}},
		{name: "panics", body: `func TestA(t *testing.T) {}
func TestB(t *testing.T) { panic("boom") }`, passed: 1, failed: 1, says: []string{"boom"}},
		{name: "exits", body: `func TestA(t *testing.T) { os.Exit(0) }`, failed: 1},
		{name: "TestMain fails", body: `func TestA(t *testing.T) {}
func TestMain(m *testing.M) { m.Run(); os.Exit(3) }`, passed: 1, failed: 1},
		{name: "takes too long", body: `func TestA(t *testing.T) { time.Sleep(time.Minute) }`, failed: 1, says: []string{"timed out"}},
		{name: "no tests", body: `var _ testing.TB`, err: "no test ran"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			realModule(t, map[string]string{"p_test.go": test(tt.body)})
			var out bytes.Buffer
			got := &tally{out: &out}
			err := goTests{flags: []string{"-timeout=5s"}, packages: []string{"./..."}}.run(t.Context(), got)
			if fmt.Sprint(err) != "<nil>" && (tt.err == "" || !strings.Contains(err.Error(), tt.err)) || err == nil && tt.err != "" {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if p, f, s := got.count(passed), got.count(failed), got.count(skipped); p != tt.passed || f != tt.failed || s != tt.skipped {
				t.Errorf("%d passed, %d failed, %d skipped; want %d, %d, %d\n%s", p, f, s, tt.passed, tt.failed, tt.skipped, out.String())
			}
			for _, r := range got.results {
				if r.outcome == skipped {
					fmt.Fprintln(&out, "skip: "+r.output)
				}
			}
			for _, want := range tt.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("does not say %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestRunAll(t *testing.T) {
	add := func(outcomes ...outcome) func(context.Context, *tally) error {
		return func(_ context.Context, t *tally) error {
			for i, o := range outcomes {
				t.add(result{pkg: "p", name: fmt.Sprintf("Test%d", i), outcome: o, output: "needs a moon"})
			}
			return nil
		}
	}
	broken := func(context.Context, *tally) error { return errors.New("no compiler") }
	for _, tt := range []struct {
		name     string
		ci       string
		run      func(context.Context, *tally) error
		ok       bool
		lastLine string
	}{
		{"all is well", "", add(passed, passed), true, "2 passed, 0 failed, 0 skipped"},
		{"a failure", "", add(passed, failed), false, "1 passed, 1 failed, 0 skipped"},
		{"nothing ran", "", add(), false, "0 passed, 0 failed, 0 skipped"},
		{"only skips", "", add(skipped), false, "0 passed, 0 failed, 1 skipped"},
		{"a stage fails", "", broken, false, "0 passed, 1 failed, 0 skipped"},
		{"a skip on a developer's machine", "", add(passed, skipped), true, "1 passed, 0 failed, 1 skipped"},
		{"an unknown skip in CI", "true", add(passed, skipped), os.Geteuid() != 0, map[bool]string{
			true: "1 passed, 1 failed, 0 skipped", false: "1 passed, 0 failed, 1 skipped"}[os.Geteuid() == 0]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			t.Chdir("../..")
			var out bytes.Buffer
			ok := runAll(t.Context(), &out, []stage{{name: "s", run: tt.run}})
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if last := lines[len(lines)-1]; ok != tt.ok || last != tt.lastLine {
				t.Errorf("got %v and %q, want %v and %q", ok, last, tt.ok, tt.lastLine)
			}
		})
	}
}

// TestAside: stages aside run beside the others, have ended before one that wants to be
// alone begins, and what they find counts.
func TestAside(t *testing.T) {
	t.Setenv("CI", "")
	t.Chdir("../..")
	met, ended := make(chan struct{}), false
	chosen := []stage{
		{name: "far", aside: true, run: func(ctx context.Context, t *tally) error {
			<-met // deadlock, unless the next stage runs beside it
			if args := command(ctx, "true").Args; args[0] != "nice" {
				return fmt.Errorf("runs %q at the priority of the others", args)
			}
			return nil
		}},
		{name: "farther", aside: true, run: func(_ context.Context, t *tally) error {
			ended = true
			t.add(result{pkg: "p", name: "TestFar", outcome: failed})
			return nil
		}},
		{name: "near", run: func(_ context.Context, t *tally) error {
			close(met)
			t.add(result{pkg: "p", name: "TestNear", outcome: passed})
			return nil
		}},
		{name: "last", alone: true, run: func(context.Context, *tally) error {
			if !ended {
				return errors.New("it is not alone")
			}
			return nil
		}},
	}
	var out bytes.Buffer
	ok := runAll(t.Context(), &out, chosen)
	if ok || !strings.HasSuffix(out.String(), "\nFAIL  p TestFar (farther)\n1 passed, 1 failed, 0 skipped\n") {
		t.Errorf("%v\n%s", ok, out.String())
	}
}

func TestJudgeSkips(t *testing.T) {
	expected, err := parseSkips("# comment\n\nunit | p TestA.* | needs a moon.* | there is none\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		r    result
		want outcome
	}{
		{result{stage: "unit", pkg: "p", name: "TestA/x", outcome: skipped, output: "needs a moon: none here"}, skipped},
		{result{stage: "race", pkg: "p", name: "TestA/x", outcome: skipped, output: "needs a moon: none here"}, failed},
		{result{stage: "unit", pkg: "q", name: "TestA/x", outcome: skipped, output: "needs a moon: none here"}, failed},
		{result{stage: "unit", pkg: "p", name: "TestA/x", outcome: skipped, output: "needs a sun"}, failed},
		{result{stage: "unit", pkg: "p", name: "TestB", outcome: passed}, passed},
	} {
		got := &tally{out: &bytes.Buffer{}, results: []result{tt.r}}
		got.judgeSkips(expected, true)
		if got.results[0].outcome != tt.want {
			t.Errorf("%+v: got %v, want %v", tt.r, got.results[0].outcome, tt.want)
		}
		got.results[0] = tt.r
		got.judgeSkips(expected, false)
		if got.results[0].outcome != tt.r.outcome {
			t.Errorf("%+v: not strict, and changed", tt.r)
		}
	}
	for _, bad := range []string{"unit | p | reason", "unit | p | reason | ", "unit | ( | reason | why"} {
		if _, err := parseSkips(bad); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}

func TestJudgeUnused(t *testing.T) {
	expected, err := parseSkips("unit | p TestA | needs a moon | there is none\nunit | p TestB | needs a sun | depends on the host: it is night\nvm | .* | .* | did not run\n")
	if err != nil {
		t.Fatal(err)
	}
	moon := result{stage: "unit", pkg: "p", name: "TestA", outcome: skipped, output: "needs a moon"}
	passes := moon
	passes.outcome = passed
	for _, tt := range []struct {
		name       string
		results    []result
		everything bool
		failed     int
		notes      int
	}{
		{"a line is used", []result{moon}, true, 0, 1},
		{"a line is not", []result{passes}, true, 1, 1},
		{"a line is not, in a run of some stages", []result{passes}, false, 0, 2},
	} {
		var out bytes.Buffer
		got := &tally{out: &out, results: tt.results, timings: []timing{{stage: "unit"}}}
		got.judgeUnused(expected, tt.everything)
		if f, n := got.count(failed), strings.Count(out.String(), "note  "); f != tt.failed || n != tt.notes {
			t.Errorf("%s: %d failures and %d notes, want %d and %d\n%s", tt.name, f, n, tt.failed, tt.notes, out.String())
		}
	}
	if everything([]stage{{name: "unit"}}) || !everything(stages()) {
		t.Error("what is everything is misjudged")
	}
}

func TestChoose(t *testing.T) {
	chosen, err := choose(stages(), nil)
	if err != nil || len(chosen) != len(stages())-1 {
		t.Errorf("without names: got %d stages, %v", len(chosen), err)
	}
	if chosen, err = choose(stages(), []string{"fuzz"}); err != nil || len(chosen) != 1 {
		t.Errorf("fuzz: got %v, %v", stageNames(chosen), err)
	}
	if _, err = choose(stages(), []string{"lnit"}); err == nil || !strings.Contains(err.Error(), "lint") {
		t.Errorf("an unknown stage: got error %v", err)
	}
}

func TestSameTree(t *testing.T) {
	for _, tt := range []struct {
		name       string
		have, want map[string]string
		err        string
	}{
		{"same", map[string]string{"a/b": "1", "c": ""}, map[string]string{"a/b": "1", "c": ""}, ""},
		{"differs", map[string]string{"a": "1"}, map[string]string{"a": "2"}, "a differs"},
		{"missing", map[string]string{"a": "1"}, map[string]string{"a": "1", "b": ""}, "b is missing"},
		{"left over", map[string]string{"a": "1", "b": ""}, map[string]string{"a": "1"}, "b is left over"},
		{"nothing", nil, nil, "nothing was generated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := sameTree(writeTree(t, tt.have), writeTree(t, tt.want))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGist: the end of a long log says what failed and why, and not all of it.
func TestGist(t *testing.T) {
	output := "=== RUN   TestA\n    a_test.go:7: broken x\n\n" + strings.Repeat("        deep\n", 40) + "--- FAIL: TestA (0.00s)\n"
	got := strings.Split(gist(output), "\n")
	if len(got) != 16 || got[0] != "a_test.go:7: broken x" || got[1] != "deep" {
		t.Errorf("%q", got)
	}
}
