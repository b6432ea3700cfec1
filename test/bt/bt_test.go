// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const suiteText = `# a comment
NAME first
PROG BEGIN { printf("a"); }
     END { }
EXPECT a
       b
EXPECT_NONE c
TIMEOUT 3
ARCH x86_64 | aarch64
REQUIRES true
REQUIRES_FEATURE btf !dwarf
ENV A=1 B=2

NAME second
RUN {{BPFTRACE}} -l 'kprobe:*'
EXPECT_REGEX ^x+$
BEFORE ./testprogs/one
BEFORE ./testprogs/two
AFTER kill $X
RETURN_CODE 7
WILL_FAIL
`

func TestParseCases(t *testing.T) {
	got, err := parseCases("file", suiteText)
	if err != nil {
		t.Fatal(err)
	}
	want := []*testCase{
		{
			File: "file", Name: "first", Prog: "BEGIN { printf(\"a\"); }\nEND { }", Timeout: 3 * time.Second,
			Expects: []expect{{matchLine, "a\nb"}, {matchNoLine, "c"}}, Arch: []string{"x86_64", "aarch64"},
			Requires: []string{"true"}, Features: []string{"btf", "!dwarf"}, Env: []string{"A=1", "B=2"},
		},
		{
			File: "file", Name: "second", Run: "{{BPFTRACE}} -l 'kprobe:*'", Timeout: defaultTimeout,
			Expects: []expect{{matchRegexp, "^x+$"}}, Befores: []string{"./testprogs/one", "./testprogs/two"},
			After: "kill $X", ReturnCode: 7, checkReturn: true, WillFail: true,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read as\n%+v\n%+v", *got[0], *got[1])
	}
	for _, bad := range []string{"NAME a\n", "NAME a\nPROG b\nRUN c\n", "NAME a\nPROG b\nEXPEKT c\n", "NAME a\nPROG b\nTIMEOUT x\n"} {
		if _, err := parseCases("file", bad); err == nil {
			t.Errorf("%q is read without an error", bad)
		}
	}
}

func TestExpect(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.json": `{"a": 1, "b": [2]}`, "b.ndjson": "{\"a\":1}\n{\"a\":2}\n", "text": "\none\ntwo\n\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		mode         mode
		text, output string
		ok           bool
	}{
		{matchLine, "a.c", "x\n  a.c \ny", true},
		{matchLine, "a.c", "abc\n", false},
		{matchLine, "a", "a b\n", false},
		{matchLine, "a\nb", "x\na\nb\n", true},
		{matchNoLine, "a", "b\n", true},
		{matchNoLine, "a", "a\n", false},
		{matchRegexp, "^b+$", "a\nbbb\n", true},
		{matchRegexp, "^b+$", "a bbb\n", false},
		{matchRegexp, `^[ab]{1500}\.{2}$`, strings.Repeat("ab", 750) + "..\n", true},
		{matchRegexp, `^a{2001}$`, strings.Repeat("a", 2000) + "\n", false},
		{matchNoRegexp, "b", "a\n", true},
		{matchNoRegexp, "b", "ab\n", false},
		{matchFile, "text", "one\ntwo", true},
		{matchFile, "text", "one", false},
		{matchJSON, "a.json", "{\"b\":[2],\"a\":1}\n", true},
		{matchJSON, "a.json", "{\"b\":[3],\"a\":1}\n", false},
		{matchJSON, "b.ndjson", "{\"a\":1}\n{\"a\":2}\n", true},
		{matchJSON, "b.ndjson", "{\"a\":2}\n{\"a\":1}\n", false},
		{matchJSON, "b.ndjson", "{\"a\":1}\n", false},
	} {
		if err := (expect{c.mode, c.text}).check(c.output, dir); (err == nil) != c.ok {
			t.Errorf("%v %q on %q: %v", c.mode, c.text, c.output, err)
		}
	}
}

func TestOlderThan(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"6.1.0-9-amd64", "6.2", true}, {"6.18.0", "6.2", false}, {"5.15", "5.15.1", true},
		{"5.15.1", "5.15", false}, {"6.1", "6.1.0", false}, {"6.18.44+", "6.18", false},
	} {
		if got := olderThan(c.a, c.b); got != c.want {
			t.Errorf("%s is older than %s: %v", c.a, c.b, got)
		}
	}
}

func TestTier(t *testing.T) {
	for text, want := range map[string]string{
		"BEGIN { exit(); }":                      tierLanguage,
		"t:sched:sched_switch { }":               tierKernel,
		"uprobe:./a:f { }":                       tierUser,
		"uprobe:./a:f { } kprobe:f { }":          tierFunctions,
		"{{BPFTRACE}} -l 'kprobe:*'":             tierLists,
		"{{BPFTRACE}} -e 'kprobe:f { print(-l)'": tierFunctions,
	} {
		if got := (&testCase{Prog: text}).tier(); got != want {
			t.Errorf("%s is of tier %s, expected %s", text, got, want)
		}
	}
}

// fake makes a tool that does what a script of shell says.
func fake(t *testing.T, script string) *tool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fake")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &tool{name: "fake", path: path}
}

func TestRun(t *testing.T) {
	const notify = "echo " + attached + "\n"
	for name, c := range map[string]struct {
		script string
		want   verdict
		edit   func(*testCase)
	}{
		"passes":              {script: notify + "echo a", want: passed},
		"output is wrong":     {script: notify + "echo b", want: failed},
		"exit code":           {script: notify + "echo a; exit 3", want: failed},
		"will fail":           {script: "echo a; exit 3", want: passed, edit: func(c *testCase) { c.WillFail = true }},
		"return code":         {script: notify + "echo a; exit 3", want: passed, edit: func(c *testCase) { c.ReturnCode = 3 }},
		"hangs and is right":  {script: notify + "echo a; sleep 60", want: passed},
		"hangs and is wrong":  {script: notify + "sleep 60", want: timedOut},
		"writes at SIGTERM":   {script: notify + "trap 'echo a; exit' TERM; sleep 60 & wait", want: passed},
		"ignores SIGTERM":     {script: notify + "trap '' TERM; sleep 60; sleep 60", want: timedOut},
		"leaves a child":      {script: notify + "echo a; sleep 60 &", want: passed},
		"environment":         {script: notify + `echo $A$__BPFTRACE_NOTIFY_PROBES_ATTACHED`, want: passed, edit: func(c *testCase) { c.Env, c.Expects[0].Text = []string{"A=x"}, "x1" }},
		"after":               {script: notify + "while ! test -e after; do sleep 0.02; done; echo a", want: passed, edit: func(c *testCase) { c.After = "touch after" }},
		"before":              {script: notify + "echo a", want: passed, edit: func(c *testCase) { c.Befores = []string{"./waits"} }},
		"before is not there": {script: notify + "echo a", want: failed, edit: func(c *testCase) { c.Befores = []string{"./nothing"} }},
		"setup fails":         {script: notify + "echo a", want: failed, edit: func(c *testCase) { c.Setup = "false" }},
		"cleanup fails":       {script: notify + "echo a", want: failed, edit: func(c *testCase) { c.Cleanup = "false" }},
		"only after attach":   {script: "echo before\n" + notify + "echo '{\"a\":1}'", want: passed, edit: func(c *testCase) { c.Expects[0] = expect{matchJSON, "want.json"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &runner{dir: t.TempDir()}
			if err := os.WriteFile(filepath.Join(r.dir, "want.json"), []byte(`{"a":1}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(r.dir, "waits"), []byte("#!/bin/sh\nsleep 60; :\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			tc := &testCase{File: "f", Name: name, Prog: "it's", Timeout: time.Second, Expects: []expect{{matchLine, "a"}}}
			if c.edit != nil {
				c.edit(tc)
			}
			begin := time.Now()
			if got := r.run(tc, fake(t, c.script)); got.verdict != c.want {
				t.Errorf("%v (%s), expected %v; output %q", got.verdict, got.why, c.want, got.output)
			}
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestSkip(t *testing.T) {
	r := &runner{dir: t.TempDir()}
	features := map[string]bool{"btf": true, "dwarf": false}
	for _, c := range []struct {
		c    testCase
		skip bool
	}{
		{testCase{}, false},
		{testCase{Features: []string{"btf", "!dwarf"}}, false},
		{testCase{Features: []string{"dwarf"}}, true},
		{testCase{Features: []string{"!btf"}}, true},
		{testCase{Arch: []string{"pdp11"}}, true},
		{testCase{Arch: []string{machine()}}, false},
		{testCase{MinKernel: "99.1"}, true},
		{testCase{MaxKernel: "2.6"}, true},
		{testCase{Requires: []string{"true", "false"}}, true},
		{testCase{Requires: []string{"true"}}, false},
		{testCase{NewPIDNS: true}, true},
	} {
		if why := r.skip(&c.c, features); (why != "") != c.skip {
			t.Errorf("%+v is skipped because of %q", c.c, why)
		}
	}
}

func TestReport(t *testing.T) {
	skip := result{verdict: skipped, why: "feature: dwarf"}
	pass, fail := result{}, result{verdict: failed}
	c := &testCase{File: "basic", Name: "x", Prog: "BEGIN { }"}
	var b strings.Builder
	writeReport(&b, []outcome{{c, pass, pass}, {c, pass, pass}, {c, pass, fail}, {c, fail, pass}, {c, fail, fail}, {c, skip, skip}})
	for _, want := range []string{
		"language                  6      2         1         1        1        1    66.7 %\n",
		"basic                     6      2         1         1        1        1    66.7 %\n",
		"    1  feature: dwarf\n",
		"score: skep passes 2 of the 3 cases that the reference passes: 66.7 %\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
