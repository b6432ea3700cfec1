// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// result is one figure and the limit that it must keep.
type result struct {
	what  string
	value float64
	unit  string
	limit float64 // largest allowed value; 0 with exact: must be 0; negative: none, for information
	exact bool
	least bool // limit is the smallest allowed value
	note  string
}

func (r result) kept() bool {
	switch {
	case r.exact:
		return r.value == 0
	case r.limit < 0:
		return true
	case r.least:
		return r.value >= r.limit
	}
	return r.value <= r.limit
}

func (r result) promised() string {
	switch {
	case r.exact:
		return "0"
	case r.limit < 0:
		return "–"
	}
	sign := "≤ "
	if r.least {
		sign = "≥ "
	}
	return sign + number(r.limit) + " " + r.unit
}

func (r result) String() string {
	mark := "ok  "
	if !r.kept() {
		mark = "FAIL"
	}
	return fmt.Sprintf("%s %-72s %12s %-10s (%s) %s", mark, r.what, number(r.value), r.unit, r.promised(), r.note)
}

func number(v float64) string {
	s := fmt.Sprintf("%.2f", v)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// median of the values, which are left as they are.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

const beginMark, endMark = "<!-- bench: begin -->", "<!-- bench: end -->"

// writeReport replaces what lies between the marks in a Markdown file. The rows of figures
// that were not measured stay if the others are to be kept.
func writeReport(path string, results []result, keep bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := bytes.Cut(text, []byte(beginMark))
	old, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok1 || !ok2 {
		return fmt.Errorf("write figures: %s has no lines %q and %q", path, beginMark, endMark)
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s\n\nMeasured %s on Linux %s (%s, %d CPUs).\n\n", beginMark,
		time.Now().UTC().Format("2006-01-02"), kernelRelease(), runtime.GOARCH, runtime.NumCPU())
	b.WriteString("| figure | measured | limit | |\n|---|---:|---:|---|\n")
	if keep {
		b.WriteString(others(string(old), results))
	}
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", r.what, number(r.value), r.unit, r.promised(), r.note)
	}
	fmt.Fprintf(&b, "\n%s", endMark)
	b.Write(after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// others are the rows of a report whose figures are not among the results.
func others(report string, results []result) (rows string) {
	for line := range strings.Lines(report) {
		figure, ok := strings.CutPrefix(line, "| ")
		if !ok || strings.HasPrefix(line, "| figure |") {
			continue
		}
		if !slices.ContainsFunc(results, func(r result) bool { return strings.HasPrefix(figure, r.what+" | ") }) {
			rows += line
		}
	}
	return rows
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "?"
	}
	return unix.ByteSliceToString(name.Release[:])
}
