// SPDX-License-Identifier: Apache-2.0

package house

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// step is a command that a document shows, and what it is said to print.
type step struct {
	line    int
	command string
	want    []string
	// interrupted by the reader: "^C" ends what it prints.
	interrupted bool
}

// block is a fence marked "console": its steps are run.
type block struct {
	line  int
	steps []step
}

// blocks finds the console fences of a Markdown text. "$ " starts a command, "> "
// continues it, and the other lines are its output.
func blocks(text string) ([]block, error) {
	var found []block
	open := "" // the fence that is open
	for i, line := range strings.Split(text, "\n") {
		fence, info := splitFence(line)
		switch {
		case open == "" && fence != "":
			open = fence
			if info == "console" {
				found = append(found, block{line: i + 1})
			} else {
				open += "other"
			}
		case open == "":
		case fence != "" && info == "" && strings.HasPrefix(open, fence):
			open = ""
		case !strings.HasSuffix(open, "other"):
			if err := found[len(found)-1].add(i+1, line); err != nil {
				return nil, err
			}
		}
	}
	if open != "" {
		return nil, fmt.Errorf("a fence is not closed")
	}
	return found, nil
}

var fenceLine = regexp.MustCompile("^ {0,3}(```+|~~~+)\\s*(.*?)\\s*$")

func splitFence(line string) (fence, info string) {
	if m := fenceLine.FindStringSubmatch(line); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func (b *block) add(number int, line string) error {
	if command, ok := strings.CutPrefix(line, "$ "); ok {
		b.steps = append(b.steps, step{line: number, command: command})
		return nil
	}
	if len(b.steps) == 0 {
		return fmt.Errorf("line %d: output before the first \"$ \" command", number)
	}
	last := &b.steps[len(b.steps)-1]
	if more, ok := strings.CutPrefix(line, "> "); ok && len(last.want) == 0 {
		last.command += "\n" + more
		return nil
	}
	if line == "^C" {
		last.interrupted = true
		return nil
	}
	if last.interrupted {
		return fmt.Errorf("line %d: output after ^C", number)
	}
	last.want = append(last.want, line)
	return nil
}

// mismatch compares what was printed with what is shown, and returns what is shown
// and was not printed; "" if they agree. A line "..." stands for any lines, "..." in
// a line for any text, and runs of blanks are one. Nothing shown: anything goes.
func mismatch(want []string, got string) string {
	if len(want) == 0 {
		return ""
	}
	var have []string
	for _, line := range strings.Split(strings.TrimRight(got, "\n"), "\n") {
		have = append(have, strings.Join(strings.Fields(line), " "))
	}
	var patterns []*regexp.Regexp // nil: any lines
	for _, line := range want {
		patterns = append(patterns, pattern(strings.Join(strings.Fields(line), " ")))
	}
	return firstMissing(want, patterns, have)
}

func pattern(line string) *regexp.Regexp {
	if line == "..." {
		return nil
	}
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, ".*") + "$")
}

// firstMissing matches as a shell matches "*": each "..." takes as little as it
// can, and more when what follows it does not match.
func firstMissing(want []string, patterns []*regexp.Regexp, lines []string) string {
	i, farthest, star, taken := 0, 0, -1, 0
	for j := 0; j < len(lines); {
		switch {
		case i < len(patterns) && patterns[i] == nil:
			star, taken = i, j
			i++
		case i < len(patterns) && patterns[i].MatchString(lines[j]):
			i++
			j++
		case star >= 0:
			taken++
			i, j = star+1, taken
		case i == len(patterns):
			return "(nothing more)"
		default:
			return want[i]
		}
		farthest = max(farthest, i)
	}
	for i < len(patterns) && patterns[i] == nil {
		i++
	}
	switch {
	case i == len(patterns):
		return ""
	case farthest == len(patterns):
		return "(nothing more)"
	}
	return want[max(i, farthest)]
}

func TestBlocks(t *testing.T) {
	text := "# x\n```sh\n$ not run\n```\n\n```console\n$ skep status\nversion ...\n$ echo a \\\n> b\n> c is output? no\nab\n> output\n```\n~~~~console\n$ x\n```\n~~~~\n"
	got, err := blocks(text)
	if err != nil || len(got) != 2 || len(got[0].steps) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	second := got[0].steps[1]
	if second.line != 9 || second.command != "echo a \\\nb\nc is output? no" || strings.Join(second.want, "|") != "ab|> output" {
		t.Errorf("got %+v", second)
	}
	if s := got[1].steps[0]; strings.Join(s.want, "|") != "```" {
		t.Errorf("a longer fence: got %+v", s)
	}
	if got, err := blocks("```console\n$ x\na\n^C\n$ y\n```\n"); err != nil || !got[0].steps[0].interrupted || got[0].steps[1].interrupted || len(got[0].steps[0].want) != 1 {
		t.Errorf("an interrupt: got %+v, %v", got, err)
	}
	for _, bad := range []string{"```console\n$ x\n^C\nmore\n```\n", "```console\noutput\n```\n", "```console\n$ x\n"} {
		if _, err := blocks(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestMismatch(t *testing.T) {
	for _, tt := range []struct{ want, got, missing string }{
		{"", "anything", ""},
		{"a", "a\n", ""},
		{"a", "b\n", "a"},
		{"a", "a\nb\n", "(nothing more)"},
		{"a\n...", "a\nb\nc\n", ""},
		{"a\n...", "a\n", ""},
		{"...\nc", "a\nb\nc\n", ""},
		{"...\nc", "a\nc\nb\nc\n", ""},
		{"...\nc", "a\nb\n", "c"},
		{"...\nc", "c\nb\n", "(nothing more)"},
		{"a\nb", "a\n", "b"},
		{"...\nb\n...\nd", "a\nb\nc\n", "d"},
		{"pid ... of x", "pid 42   of x", ""},
		{"pid ... of x", "pid 42 of y", "pid ... of x"},
		{"a.c", "abc", "a.c"},
		{"A   B", "A B", ""},
	} {
		var want []string
		if tt.want != "" {
			want = strings.Split(tt.want, "\n")
		}
		if got := mismatch(want, tt.got); got != tt.missing {
			t.Errorf("%q against %q: got %q, want %q", tt.want, tt.got, got, tt.missing)
		}
	}
}
