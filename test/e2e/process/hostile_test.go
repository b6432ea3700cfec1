// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// testHostile: whatever a process calls itself, a terminal sees text.
func testHostile(t *testing.T, s *scene) {
	name := "\x1b[31m\x07\u009b2J\u202e\r\x7f"
	program := filepath.Join(s.dir, name)
	must(t, os.Link(s.self, program))
	defer os.Remove(program)
	c := s.helper("wait")
	c.Path, c.Args = program, []string{name, "\x1b]0;title\x07", "line\nbreak", "\xff\xfe", "<script>", "a\x00"[:1], "\u2066\u200b"}
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	defer c.Wait()
	defer in.Close()
	bufio.NewScanner(out).Scan()
	pid := fmt.Sprint(c.Process.Pid)
	s.stream.Wait(t, "exec", c.Process.Pid)
	for _, args := range [][]string{
		{"observe", "--last", "10", "--pid", pid, "-o", "compact"},
		{"observe", "--last", "10", "--pid", pid, "-o", "table"},
		{"observe", "--last", "10", "--pid", pid, "-o", "json"},
		{"ps", "--pid", pid}, {"ps", "--tree"}, {"ps", "--pid", pid, "-o", "json"},
	} {
		text := s.agent.Skep(t, args...)
		if !strings.Contains(text, pid) {
			t.Errorf("skep %q does not show process %s: %s", args, pid, text)
		}
		for i, r := range text {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar && text[i] == 0xff) {
				t.Errorf("skep %q writes %U to the terminal: %q", args, r, text)
				break
			}
		}
		if args[len(args)-1] == "json" {
			for line := range strings.Lines(text) {
				if !json.Valid([]byte(line)) && !json.Valid([]byte(text)) {
					t.Errorf("skep %q: no JSON: %q", args, line)
				}
			}
		}
	}
}
