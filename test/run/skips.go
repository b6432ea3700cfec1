// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// expectedSkip is a line of skips.txt: a skip that is right on a machine which
// has all that the tests need.
type expectedSkip struct {
	stage, test, reason *regexp.Regexp
	line                string
}

func readSkips(path string) ([]expectedSkip, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the expected skips: %w; run in the repository's root", err)
	}
	return parseSkips(string(text))
}

func parseSkips(text string) ([]expectedSkip, error) {
	var all []expectedSkip
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) != 4 || strings.TrimSpace(fields[3]) == "" {
			return nil, fmt.Errorf("parse skips.txt: line %d: want \"stage | test | reason | why it is right\"", i+1)
		}
		var compiled [3]*regexp.Regexp
		for j := range compiled {
			var err error
			if compiled[j], err = regexp.Compile("^(?:" + strings.TrimSpace(fields[j]) + ")$"); err != nil {
				return nil, fmt.Errorf("parse skips.txt: line %d: %w", i+1, err)
			}
		}
		all = append(all, expectedSkip{compiled[0], compiled[1], compiled[2], line})
	}
	return all, nil
}

func (e expectedSkip) allows(r result) bool {
	return e.stage.MatchString(r.stage) && e.test.MatchString(r.id()) && e.reason.MatchString(strings.Join(strings.Fields(r.output), " "))
}

// judgeSkips makes a failure of every skip that is not expected where the machine
// lacks nothing: there it hides something. Elsewhere it counts them.
func (t *tally) judgeSkips(expected []expectedSkip, strict bool) {
	for i, r := range t.results {
		if r.outcome != skipped || allowed(expected, r) {
			continue
		}
		if !strict {
			t.unexpected++
			continue
		}
		t.results[i].outcome = failed
		fmt.Fprintf(t.out, "FAIL  %s\n      was skipped, and skips.txt does not allow that here: %s\n", r.id(), oneLine(r.output))
	}
}

func allowed(expected []expectedSkip, r result) bool {
	return slices.ContainsFunc(expected, func(e expectedSkip) bool { return e.allows(r) })
}
