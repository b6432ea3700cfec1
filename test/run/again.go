// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A test that fails is run again, once and alone, after the tests of its stage. Of thousands, which wait for kernels,
// containers and emulators on machines that others use too, one fails now and then that has found no fault; without a
// second try a run that ends well would be luck, and nobody would look at one that does not. But a fault may be seen
// only now and then as well, and a retry must not hide it. So
//   - what passes then is flaky: it is shown with what it said at first, counted, and is to be mended;
//   - with more than mostAgain failures in a stage nothing is run again: something is broken;
//   - more than mostFlaky in all fail the run;
//   - only a test can be flaky: no build, no check, and nothing in a package that did not run all its tests;
//   - a data race is a fault, however seldom two threads meet in it.
const (
	mostAgain = 5
	mostFlaky = 5
)

// raceFound is what package testing says of a test during which the race detector spoke.
const raceFound = "race detected during execution of test"

// again runs those of the results that are failures once more, each alone, with the flags and the environment of all.
func (g goTests) again(ctx context.Context, t *tally, results []result) {
	n := count(results, failed)
	if n == 0 {
		return
	}
	if n > mostAgain {
		fmt.Fprintf(t.out, "note  %d tests failed, which is more than flaky tests are let fail (%d): none is run again\n", n, mostAgain)
		return
	}
	if slices.ContainsFunc(results, func(r result) bool { return r.outcome == failed && r.path == "" }) {
		fmt.Fprintf(t.out, "note  not all tests have run: none is run again\n")
		return
	}
	for i := range results {
		if r := &results[i]; r.outcome == failed && !strings.Contains(r.output, raceFound) && ctx.Err() == nil {
			g.repeat(ctx, t, r)
		}
	}
}

// repeat changes the result to flaky if the test passes now.
func (g goTests) repeat(ctx context.Context, t *tally, r *result) {
	g.packages = []string{r.path}
	g.flags = append(slices.Clone(g.flags), "-run="+only(r.name))
	var said bytes.Buffer
	second := &tally{out: &said, stage: t.stage}
	err := g.once(ctx, second)
	if err == nil && second.count(failed) == 0 && second.passed(r.name) {
		r.outcome = flaky
		fmt.Fprintf(t.out, "flaky %s passed when it was run again, alone\n", r.id())
		return
	}
	if err != nil {
		fmt.Fprintln(&said, err)
	}
	fmt.Fprintf(t.out, "FAIL  %s did not pass when it was run again, alone\n%s", r.id(), indent(said.String()))
	r.output = "failed twice, the second time alone; at first:\n" + r.output
}

// only is the pattern for go test's -run of one test or subtest.
func only(name string) string {
	levels := strings.Split(name, "/")
	for i, level := range levels {
		levels[i] = "^" + regexp.QuoteMeta(level) + "$"
	}
	return strings.Join(levels, "/")
}

// passed tells whether a test passed, or, of one that has subtests, some of these.
func (t *tally) passed(name string) bool {
	return slices.ContainsFunc(t.results, func(r result) bool {
		return r.outcome == passed && (r.name == name || strings.HasPrefix(r.name, name+"/"))
	})
}

// judgeFlaky fails a run with many flaky tests.
func (t *tally) judgeFlaky() {
	if n := t.count(flaky); n > mostFlaky {
		t.add(result{pkg: "flaky", outcome: failed, output: fmt.Sprintf("%d tests passed only when they were run again, at most %d may\n", n, mostFlaky)})
	}
}
