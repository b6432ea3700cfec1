// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// mode is how an expectation is compared with the output.
type mode uint8

const (
	matchLine mode = iota
	matchNoLine
	matchRegexp
	matchNoRegexp
	matchFile
	matchJSON
)

var expectWords = map[string]mode{
	"EXPECT": matchLine, "EXPECT_NONE": matchNoLine,
	"EXPECT_REGEX": matchRegexp, "EXPECT_REGEX_NONE": matchNoRegexp,
	"EXPECT_FILE": matchFile, "EXPECT_JSON": matchJSON,
}

// expect is what the output of a case has to be like.
type expect struct {
	Mode mode
	Text string
}

// check is nil if the output is as expected. Files are looked up below folder.
func (e expect) check(output, folder string) error {
	switch e.Mode {
	case matchLine, matchNoLine:
		return e.match(`^\s*`+regexp.QuoteMeta(e.Text)+`\s*$`, output, e.Mode == matchNoLine)
	case matchRegexp, matchNoRegexp:
		return e.match(e.Text, output, e.Mode == matchNoRegexp)
	}
	want, err := os.ReadFile(filepath.Join(folder, e.Text))
	if err != nil {
		return fmt.Errorf("read expectation: %w", err)
	}
	if e.Mode == matchFile {
		if strings.TrimSpace(output) != strings.TrimSpace(string(want)) {
			return fmt.Errorf("expected the text of %s", e.Text)
		}
		return nil
	}
	return e.json(string(want), output)
}

// match looks for an expression in any line or lines, as Python's re.M does.
func (e expect) match(expression, output string, none bool) error {
	r, err := regexp.Compile("(?m)" + splitCounts(expression))
	if err != nil {
		return fmt.Errorf("read expectation: %w", err)
	}
	if r.MatchString(output) == none {
		if none {
			return fmt.Errorf("expected nothing like %q", e.Text)
		}
		return fmt.Errorf("expected %q", e.Text)
	}
	return nil
}

var longCount = regexp.MustCompile(`(\[[^\]]*\]|\\.|[^\\)])\{(\d{4,5})\}`)

// splitCounts writes a{1500} as a{1000}a{500}: Go's expressions repeat at most 1000 times.
func splitCounts(expression string) string {
	return longCount.ReplaceAllStringFunc(expression, func(text string) string {
		parts := longCount.FindStringSubmatch(text)
		n, err := strconv.Atoi(parts[2])
		if err != nil {
			return text
		}
		const most = 1000
		return strings.Repeat(fmt.Sprintf("%s{%d}", parts[1], most), n/most) + fmt.Sprintf("%s{%d}", parts[1], n%most)
	})
}

// json compares values, line by line in a file of lines (.ndjson).
func (e expect) json(want, output string) error {
	got := strings.TrimSpace(output)
	wanted, lines := []string{want}, strings.Split(got, "\n")
	if filepath.Ext(e.Text) == ".ndjson" {
		wanted = strings.Split(strings.TrimSpace(want), "\n")
	}
	if len(wanted) != len(lines) {
		return fmt.Errorf("expected %d lines of JSON as in %s, got %d", len(wanted), e.Text, len(lines))
	}
	for i := range wanted {
		var a, b any
		if err := json.Unmarshal([]byte(wanted[i]), &a); err != nil {
			return fmt.Errorf("read expectation %s: %w", e.Text, err)
		}
		if err := json.Unmarshal([]byte(lines[i]), &b); err != nil {
			return fmt.Errorf("read output as JSON: %w", err)
		}
		if !reflect.DeepEqual(a, b) {
			return fmt.Errorf("expected line %d of %s", i+1, e.Text)
		}
	}
	return nil
}
