// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// packageRun is one package's tests, in the order in which they started.
type packageRun struct {
	path   string // to import it
	pkg    string // the same, shorter
	order  []string
	tests  map[string]*testRun
	output strings.Builder // what belongs to no test: a panic, a build failure
}

type testRun struct {
	outcome string
	elapsed time.Duration
	output  strings.Builder
}

func newPackageRun(path string) *packageRun {
	return &packageRun{path: path, pkg: strings.TrimPrefix(path, module), tests: map[string]*testRun{}}
}

// event reports whether the package has ended.
func (p *packageRun) event(e event) bool {
	if e.Test == "" {
		if e.Action == "output" {
			p.output.WriteString(e.Output)
		}
		return e.Action == "pass" || e.Action == "fail" || e.Action == "skip"
	}
	test := p.tests[e.Test]
	if test == nil {
		test = &testRun{}
		p.tests[e.Test] = test
		p.order = append(p.order, e.Test)
	}
	switch e.Action {
	case "output":
		test.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		test.outcome, test.elapsed = e.Action, duration(e.Elapsed)
	}
	return false
}

// results counts a test with subtests by these alone, unless it failed and none
// of them did. A test that started and has no outcome failed, as has a package that
// did not build or ended by itself.
func (p *packageRun) results(verdict string) []result {
	var out []result
	whole := p.whole()
	for _, name := range p.order {
		if r, counts := p.result(name); counts {
			if whole {
				r.path = p.path
			}
			out = append(out, r)
		}
	}
	if verdict == "fail" && count(out, failed) == 0 {
		out = append(out, result{pkg: p.pkg, outcome: failed, output: p.output.String()})
	}
	return out
}

// whole tells whether all tests have run: then package testing says its verdict, which it does not after a panic, a
// timeout or an exit.
func (p *packageRun) whole() bool {
	return slices.ContainsFunc(strings.Split(p.output.String(), "\n"), func(line string) bool { return line == "PASS" || line == "FAIL" })
}

func (p *packageRun) result(name string) (result, bool) {
	test := p.tests[name]
	r := result{pkg: p.pkg, name: name, elapsed: test.elapsed}
	children, failures := p.children(name)
	switch test.outcome {
	case "pass":
		r.outcome = passed
		return r, children == 0
	case "skip":
		r.outcome, r.output = skipped, reason(test.output.String())
		return r, true
	case "fail":
		r.outcome, r.output = failed, test.output.String()
		return r, failures == 0
	}
	r.outcome, r.output = failed, test.output.String()+p.output.String()+"started and never ended\n"
	return r, failures == 0
}

func (p *packageRun) children(name string) (all, failures int) {
	for child, test := range p.tests {
		if strings.HasPrefix(child, name+"/") {
			all++
			if test.outcome != "pass" && test.outcome != "skip" {
				failures++
			}
		}
	}
	return all, failures
}

var logPrefix = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: ?`)

// reason is what a test said when it was skipped, without the places where it said so.
func reason(output string) string {
	var lines []string
	for _, line := range strings.Split(output, "\n") {
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(strings.TrimSpace(line), "--- ") {
			continue
		}
		if line = strings.TrimSpace(logPrefix.ReplaceAllString(line, "")); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "(no reason given)"
	}
	return strings.Join(lines, " ")
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
