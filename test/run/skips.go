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
	why, line           string
}

// ofHost begins why a skip is right that other hosts do not have.
const ofHost = "depends on the host: "

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
		all = append(all, expectedSkip{compiled[0], compiled[1], compiled[2], strings.TrimSpace(fields[3]), line})
	}
	return all, nil
}

func (e expectedSkip) allows(r result) bool {
	return r.outcome == skipped && e.stage.MatchString(r.stage) && e.test.MatchString(r.id()) && e.reason.MatchString(strings.Join(strings.Fields(r.output), " "))
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

// judgeUnused shows the lines of skips.txt that are about the stages that ran and allowed
// nothing: what they were for is gone. If everything ran, they are failures.
func (t *tally) judgeUnused(expected []expectedSkip, everything bool) {
	for _, e := range expected {
		ran := slices.ContainsFunc(t.timings, func(s timing) bool { return e.stage.MatchString(s.stage) })
		if !ran || slices.ContainsFunc(t.results, e.allows) {
			continue
		}
		text := "skips.txt allows what is not skipped any more; remove the line, or mend it: " + e.line
		if everything && !strings.HasPrefix(e.why, ofHost) {
			t.add(result{pkg: "skips.txt", outcome: failed, output: text + "\n"})
			continue
		}
		fmt.Fprintf(t.out, "note  %s\n", text)
	}
}

func allowed(expected []expectedSkip, r result) bool {
	return slices.ContainsFunc(expected, func(e expectedSkip) bool { return e.allows(r) })
}
