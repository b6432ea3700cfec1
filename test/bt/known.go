// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// known are verdicts of the reference in an earlier run, by file and name; several cases may
// share both.
type known map[string][]result

// readKnown reads a file that [saveResults] wrote; "" is none.
func readKnown(file string) (known, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read known verdicts: %w", err)
	}
	verdicts := map[string]verdict{passed.String(): passed, failed.String(): failed, timedOut.String(): timedOut}
	k := known{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) < 8 {
			return nil, fmt.Errorf("read known verdicts: %q is no line of results", line)
		}
		if v, ok := verdicts[fields[3]]; ok {
			k[fields[0]+"."+fields[1]] = append(k[fields[0]+"."+fields[1]], result{verdict: v, why: fields[7]})
		}
	}
	return k, nil
}

// take is the next known verdict of a case.
func (r *runner) take(c *testCase) (result, bool) {
	name := c.File + "." + c.Name
	list := r.known[name]
	if len(list) == 0 {
		return result{}, false
	}
	r.known[name] = list[1:]
	return list[0], true
}
