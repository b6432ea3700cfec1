// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

type outcome int

const (
	passed outcome = iota
	failed
	skipped
	// flaky is a test that failed, and passed when it was run again.
	flaky
)

// result is one test or check. A package that did not build or ended badly is a
// result without a name.
type result struct {
	stage, pkg, name string
	outcome          outcome
	elapsed          time.Duration
	output           string
	// path imports the package, if all its tests have run: one that failed may be run again.
	path string
}

func (r result) id() string { return strings.TrimSuffix(r.pkg+" "+r.name, " ") }

type timing struct {
	stage string
	took  time.Duration
}

// tally collects what all stages found.
type tally struct {
	out     io.Writer
	started time.Time
	stage   stage
	begun   time.Time
	results []result
	timings []timing
	// unexpected counts skips that skips.txt does not have.
	unexpected int
}

func (t *tally) begin(s stage) {
	t.stage, t.begun = s, time.Now()
	fmt.Fprintf(t.out, "== %s: %s\n", s.name, s.what)
}

func (t *tally) end() {
	took := time.Since(t.begun)
	t.timings = append(t.timings, timing{t.stage.name, took})
	fmt.Fprintf(t.out, "== %s took %s\n\n", t.stage.name, seconds(took))
}

// add counts a result and shows a failure whole, at once.
func (t *tally) add(r result) {
	r.stage = t.stage.name
	t.results = append(t.results, r)
	if r.outcome == failed {
		fmt.Fprintf(t.out, "FAIL  %s\n%s", r.id(), indent(r.output))
	}
}

func (t *tally) count(o outcome) int { return count(t.results, o) }

func count(results []result, o outcome) int {
	n := 0
	for _, r := range results {
		if r.outcome == o {
			n++
		}
	}
	return n
}

// line is the progress of one package or check.
func (t *tally) line(name string, results []result, took time.Duration) {
	word, details := "ok", ""
	switch n := count(results, failed); {
	case n > 0:
		word, details = "FAIL", fmt.Sprintf("  %d failed", n)
	case count(results, passed) == 0:
		word = "skip"
	}
	if n := count(results, skipped); n > 0 {
		details += fmt.Sprintf("  %d skipped", n)
	}
	fmt.Fprintf(t.out, "%-5s %-44s %4d passed  %7s%s\n", word, name, count(results, passed), seconds(took), details)
}

// summarise ends with the line that others read.
func (t *tally) summarise() {
	t.printSkips()
	t.printSlowest(10)
	t.printTimings()
	t.printAll(flaky, "flaky", "failed, and passed when it was run again, alone: mend it")
	t.printAll(failed, "FAIL ", "")
	unsteady := ""
	if n := t.count(flaky); n > 0 {
		unsteady = fmt.Sprintf("%d flaky, ", n)
	}
	fmt.Fprintf(t.out, "%d passed, %s%d failed, %d skipped\n", t.count(passed), unsteady, t.count(failed), t.count(skipped))
}

// printSkips groups by reason.
func (t *tally) printSkips() {
	reasons, tests := []string{}, map[string][]string{}
	for _, r := range t.results {
		if r.outcome != skipped {
			continue
		}
		reason := oneLine(r.output)
		if tests[reason] == nil {
			reasons = append(reasons, reason)
		}
		tests[reason] = append(tests[reason], r.id())
	}
	if len(reasons) == 0 {
		return
	}
	fmt.Fprintln(t.out, "Skipped:")
	for _, reason := range reasons {
		fmt.Fprintf(t.out, "%5d  %s\n", len(tests[reason]), reason)
		for i, id := range tests[reason] {
			if i == 3 && len(tests[reason]) > 4 {
				fmt.Fprintf(t.out, "         and %d more\n", len(tests[reason])-i)
				break
			}
			fmt.Fprintf(t.out, "         %s\n", id)
		}
	}
	if t.unexpected > 0 {
		fmt.Fprintf(t.out, "%5d  of these are not in skips.txt: as root with CI=true they are failures\n", t.unexpected)
	}
	fmt.Fprintln(t.out)
}

func (t *tally) printSlowest(n int) {
	slowest := slices.Clone(t.results)
	slices.SortStableFunc(slowest, func(a, b result) int { return cmp.Compare(b.elapsed, a.elapsed) })
	fmt.Fprintln(t.out, "Slowest:")
	for _, r := range slowest[:min(n, len(slowest))] {
		fmt.Fprintf(t.out, "%8s  %s\n", seconds(r.elapsed), r.id())
	}
	fmt.Fprintln(t.out)
}

func (t *tally) printTimings() {
	fmt.Fprintln(t.out, "Stages:")
	for _, s := range t.timings {
		fmt.Fprintf(t.out, "%8s  %s\n", seconds(s.took), s.stage)
	}
	fmt.Fprintf(t.out, "%8s  in all\n\n", seconds(time.Since(t.started)))
}

// printAll shows what ended so, with the beginning of what it said.
func (t *tally) printAll(o outcome, word, why string) {
	for _, r := range t.results {
		if r.outcome == o {
			fmt.Fprintf(t.out, "%s %s (%s)\n%s%s", word, r.id(), r.stage, indent(why), indent(gist(r.output)))
		}
	}
}

// gist is the beginning of a failure's output, for where only the end of a long log is kept.
func gist(output string) string {
	const lines = 16
	var kept []string
	for line := range strings.Lines(output) {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ") {
			continue
		}
		if kept = append(kept, oneLine(text)); len(kept) == lines {
			break
		}
	}
	return strings.Join(kept, "\n")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	return "      " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n      ") + "\n"
}
