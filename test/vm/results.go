// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Outcome of a test in the guest.
type Outcome string

const (
	Pass Outcome = "PASS"
	Fail Outcome = "FAIL"
	Skip Outcome = "SKIP"
	// Lost: the test started and the guest never said how it ended.
	Lost Outcome = "LOST"
)

// TestResult is one test, or subtest, that a guest started.
type TestResult struct {
	// Name is as in the guest: TestX/sub.
	Name    string
	Outcome Outcome
	// Took is the time by the guest's clock.
	Took time.Duration
	// Output is what the test logged.
	Output string
}

var (
	started = regexp.MustCompile(`^=== (?:RUN|NAME|CONT) +(\S*)$`)
	ended   = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \((\d+\.\d+s)\)$`)
)

// ParseTests reads the output of a test binary that ran with -test.v=test2json, which starts each line of the
// framework with the byte 0x16: so a test that prints "--- PASS", or no newline at its end, confuses nothing.
// The results are in the order in which the tests started.
func ParseTests(output string) []TestResult {
	var results []TestResult
	index := map[string]int{}
	at := func(name string) *TestResult {
		i, ok := index[name]
		if !ok {
			i = len(results)
			index[name] = i
			results = append(results, TestResult{Name: name, Outcome: Lost})
		}
		return &results[i]
	}
	var current string
	for _, chunk := range strings.Split(output, "\x16")[1:] {
		line, logged, _ := strings.Cut(chunk, "\n")
		if m := started.FindStringSubmatch(line); m != nil {
			current = m[1]
		} else if m := ended.FindStringSubmatch(line); m != nil {
			current = m[2]
			at(current).Outcome = Outcome(m[1])
			at(current).Took, _ = time.ParseDuration(m[3]) // the expression lets nothing else through
		} else {
			logged = line + "\n" + logged
		}
		if current != "" {
			at(current).Output += logged
		}
	}
	return results
}

// CheckTests finds what the single results do not show: a binary that ran no test, or failed outside of one.
func CheckTests(c CommandResult, results []TestResult) error {
	if !c.Finished {
		return fmt.Errorf("run %q: the guest went away during it: %s", c.Args, tail(c.Output, 20))
	}
	failed := 0
	for _, r := range results {
		if r.Outcome == Fail {
			failed++
		}
	}
	switch {
	case len(results) == 0:
		return fmt.Errorf("run %q: exit code %d and no test ran: %s", c.Args, c.ExitCode, tail(c.Output, 20))
	case c.ExitCode != 0 && failed == 0:
		return fmt.Errorf("run %q: exit code %d and no test failed: %s", c.Args, c.ExitCode, tail(c.Output, 40))
	case c.ExitCode != 0 && !ranToItsEnd(c.Output):
		return fmt.Errorf("run %q: exit code %d before all tests had run: %s", c.Args, c.ExitCode, tail(c.Output, 40))
	case c.ExitCode == 0 && failed > 0:
		return fmt.Errorf("run %q: exit code 0 although %d tests failed", c.Args, failed)
	}
	return nil
}

// ranToItsEnd tells whether a test binary said its verdict, which one does not that panics, is killed or exits.
func ranToItsEnd(output string) bool {
	return strings.Contains(output, "\x16FAIL\n") || strings.Contains(output, "\x16PASS\n")
}
