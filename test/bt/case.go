// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// testCase is one case of the suite, by the names that the suite's files use.
type testCase struct {
	File, Name  string
	Run, Prog   string
	Expects     []expect
	Timeout     time.Duration
	Befores     []string
	After       string
	Setup       string
	Cleanup     string
	MinKernel   string
	MaxKernel   string
	Requires    []string
	Env         []string
	Arch        []string
	Features    []string // "!" in front of what must be missing
	WillFail    bool
	NewPIDNS    bool
	SkipIfEnv   string // NAME=VALUE
	ReturnCode  int
	checkReturn bool // RETURN_CODE was given
}

// exact tells whether the whole output is compared.
func (c *testCase) exact() bool {
	for _, e := range c.Expects {
		if e.Mode == matchFile || e.Mode == matchJSON {
			return true
		}
	}
	return false
}

// text is what the case runs.
func (c *testCase) text() string { return c.Run + c.Prog }

// readSuite reads the cases below a folder of tests, in the order of file and text.
func readSuite(tests string) ([]*testCase, error) {
	runtime := filepath.Join(tests, "runtime")
	files, err := os.ReadDir(runtime)
	if err != nil {
		return nil, fmt.Errorf("read suite: %w: give -suite a checkout of bpftrace", err)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Name() < files[j].Name() })
	var cases []*testCase
	for _, f := range files {
		if f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(runtime, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read suite: %w", err)
		}
		more, err := parseCases(f.Name(), string(text))
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	return cases, nil
}

// parseCases reads the cases of one file: paragraphs of lines, each a word and its value.
func parseCases(file, text string) ([]*testCase, error) {
	var cases []*testCase
	var lines []string
	flush := func() error {
		if len(lines) == 0 {
			return nil
		}
		c, err := parseCase(file, lines)
		cases, lines = append(cases, c), nil
		return err
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case line != "":
			lines = append(lines, line)
		default:
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return cases, flush()
}

const defaultTimeout = 5 * time.Second

func parseCase(file string, lines []string) (*testCase, error) {
	c := &testCase{File: file, Timeout: defaultTimeout}
	last := ""
	for _, line := range lines {
		if n := len(last) + 1; last != "" && strings.TrimSpace(line[:min(n, len(line))]) == "" {
			if c.goOn(last, line[min(n, len(line)):]) {
				continue
			}
		}
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		last = word
		if err := c.set(word, strings.TrimLeft(value, " \t")); err != nil {
			return nil, fmt.Errorf("read case %s.%s: %w", file, c.Name, err)
		}
	}
	if c.Name == "" || (c.Run == "") == (c.Prog == "") {
		return nil, fmt.Errorf("read case %s.%s: it needs a NAME and one of RUN and PROG", file, c.Name)
	}
	return c, nil
}

// goOn adds an indented line to what it belongs to.
func (c *testCase) goOn(word, line string) bool {
	switch word {
	case "PROG":
		c.Prog += "\n" + line
	case "EXPECT", "EXPECT_REGEX":
		c.Expects[len(c.Expects)-1].Text += "\n" + line
	default:
		return false
	}
	return true
}

// set gives a field its value.
func (c *testCase) set(word, value string) error {
	if mode, ok := expectWords[word]; ok {
		c.Expects = append(c.Expects, expect{Mode: mode, Text: value})
		return nil
	}
	texts := map[string]*string{
		"NAME": &c.Name, "RUN": &c.Run, "PROG": &c.Prog, "AFTER": &c.After, "SETUP": &c.Setup,
		"CLEANUP": &c.Cleanup, "MIN_KERNEL": &c.MinKernel, "MAX_KERNEL": &c.MaxKernel,
		"SKIP_IF_ENV_HAS": &c.SkipIfEnv,
	}
	if text, ok := texts[word]; ok {
		*text = value
		return nil
	}
	switch word {
	case "BEFORE":
		c.Befores = append(c.Befores, value)
	case "REQUIRES":
		c.Requires = append(c.Requires, value)
	case "ENV":
		c.Env = append(c.Env, strings.Fields(value)...)
	case "ARCH":
		for arch := range strings.SplitSeq(value, "|") {
			c.Arch = append(c.Arch, strings.TrimSpace(arch))
		}
	case "REQUIRES_FEATURE":
		c.Features = append(c.Features, strings.Fields(value)...)
	case "WILL_FAIL":
		c.WillFail = true
	case "LOCALIZE_TIMESTAMPS": // of later suites, about times in expectations
	case "NEW_PIDNS":
		c.NewPIDNS = true
	case "TIMEOUT", "RETURN_CODE":
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("%s %q is not a number", word, value)
		}
		if word == "TIMEOUT" {
			c.Timeout = time.Duration(n) * time.Second
		} else {
			c.ReturnCode, c.checkReturn = n, true
		}
	default:
		return fmt.Errorf("unknown directive %q", word)
	}
	return nil
}
