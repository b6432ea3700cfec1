// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// outcome is one case with what became of it. Tools that were not run are skipped.
type outcome struct {
	testCase        *testCase
	reference, skep result
}

// row counts outcomes.
type row struct {
	cases, both, onlyReference, onlySkep, neither, skipped int
}

func (r *row) add(o outcome) {
	r.cases++
	reference, skep := o.reference.verdict == passed, o.skep.verdict == passed
	switch {
	case o.reference.verdict == skipped && o.skep.verdict == skipped:
		r.skipped++
	case reference && skep:
		r.both++
	case reference:
		r.onlyReference++
	case skep:
		r.onlySkep++
	default:
		r.neither++
	}
}

// score is the share of what the reference passes that skep passes too, in percent.
func (r *row) score() string {
	of := r.both + r.onlyReference
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(r.both)/float64(of))
}

// writeReport writes the tables by tier and by file, the score, and why cases were skipped.
func writeReport(w io.Writer, outcomes []outcome) {
	total := &row{}
	byTier, byFile, reasons := map[string]*row{}, map[string]*row{}, map[string]int{}
	for _, o := range outcomes {
		for _, r := range []*row{total, get(byTier, o.testCase.tier()), get(byFile, o.testCase.File)} {
			r.add(o)
		}
		if o.reference.verdict == skipped && o.skep.verdict == skipped {
			reasons[o.reference.why]++
		}
	}
	writeRows(w, "tier", byTier, tiers, total)
	fmt.Fprintln(w)
	writeRows(w, "file", byFile, sortedKeys(byFile), total)
	if len(reasons) > 0 {
		fmt.Fprintf(w, "\nskipped, and why:\n")
		for _, why := range sortedKeys(reasons) {
			fmt.Fprintf(w, "%5d  %s\n", reasons[why], why)
		}
	}
	if !ran(outcomes, func(o outcome) result { return o.skep }) {
		fmt.Fprintf(w, "\nno score: skep was not run; the reference passes %d of %d\n", total.onlyReference, total.cases-total.skipped)
		return
	}
	fmt.Fprintf(w, "\nscore: skep passes %d of the %d cases that the reference passes: %s\n",
		total.both, total.both+total.onlyReference, total.score())
}

// ran tells whether a tool was run at all.
func ran(outcomes []outcome, of func(outcome) result) bool {
	for _, o := range outcomes {
		if of(o).verdict != skipped {
			return true
		}
	}
	return false
}

func get(rows map[string]*row, key string) *row {
	if rows[key] == nil {
		rows[key] = &row{}
	}
	return rows[key]
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func writeRows(w io.Writer, title string, rows map[string]*row, order []string, total *row) {
	const format = "%-20s %6s %6s %9s %9s %8s %8s %9s\n"
	fmt.Fprintf(w, format, title, "cases", "both", "only ref.", "only skep", "neither", "skipped", "score")
	line := func(name string, r *row) {
		fmt.Fprintf(w, strings.NewReplacer("%6s", "%6d", "%9s\n", "%9s\n", "%9s", "%9d", "%8s", "%8d").Replace(format),
			name, r.cases, r.both, r.onlyReference, r.onlySkep, r.neither, r.skipped, r.score())
	}
	for _, name := range order {
		if r := rows[name]; r != nil {
			line(name, r)
		}
	}
	line("all", total)
}

// writeResults writes one line for each case, to be compared with another run's: file, name,
// tier, both verdicts, milliseconds and why, with tabs between them.
func writeResults(w io.Writer, outcomes []outcome) {
	for _, o := range outcomes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", o.testCase.File, o.testCase.Name, o.testCase.tier(),
			o.reference.verdict, o.skep.verdict, o.reference.took.Milliseconds(), o.skep.took.Milliseconds(),
			oneLine(o.reference.why), oneLine(o.skep.why))
	}
}

func oneLine(text string) string { return strings.NewReplacer("\n", `\n`, "\t", " ").Replace(text) }
