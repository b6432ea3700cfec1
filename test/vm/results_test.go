// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseTests(t *testing.T) {
	output := strings.ReplaceAll(`^=== RUN   TestA
^=== RUN   TestA/sub
    a_test.go:1: logged
no newline^--- PASS: TestA/sub (0.00s)
^=== NAME  TestA
--- FAIL: TestA (0.00s)
^--- PASS: TestA (61.25s)
^=== NAME  
^=== RUN   TestB
    b_test.go:2: needs x
^--- SKIP: TestB (0.00s)
^=== NAME  
^=== RUN   TestC
panic: boom
`, "^", "\x16")
	got := ParseTests(output)
	want := []TestResult{
		{"TestA", Pass, 61250 * time.Millisecond, "--- FAIL: TestA (0.00s)\n"},
		{"TestA/sub", Pass, 0, "    a_test.go:1: logged\nno newline"},
		{"TestB", Skip, 0, "    b_test.go:2: needs x\n"},
		{"TestC", Lost, 0, "panic: boom\n"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCheckTests(t *testing.T) {
	pass, fail := TestResult{Name: "TestA", Outcome: Pass}, TestResult{Name: "TestB", Outcome: Fail}
	for _, tt := range []struct {
		name    string
		command CommandResult
		results []TestResult
		want    string // part of the error; empty: none
	}{
		{"good", CommandResult{Finished: true}, []TestResult{pass}, ""},
		{"a test failed", CommandResult{Finished: true, ExitCode: 1, Output: "\x16FAIL\n"}, []TestResult{pass, fail}, ""},
		{"a test panicked", CommandResult{Finished: true, ExitCode: 2, Output: "\x16--- FAIL: TestB (0.00s)\npanic: boom\n"}, []TestResult{pass, fail},
			"before all tests had run"},
		{"guest went away", CommandResult{}, []TestResult{pass}, "went away"},
		{"nothing ran", CommandResult{Finished: true}, nil, "no test ran"},
		{"crashed", CommandResult{Finished: true, ExitCode: 2}, []TestResult{pass}, "no test failed"},
		{"exit code lies", CommandResult{Finished: true}, []TestResult{fail}, "exit code 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckTests(tt.command, tt.results)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}
