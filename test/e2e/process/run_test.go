// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// tell runs a command whose verb ends in "truth", and returns what it said and the last
// exec record of its process.
func (s *scene) tell(t *testing.T, c *exec.Cmd) (*truth, *skepv1.Record) {
	t.Helper()
	said, _, pid := s.run(t, c)
	execs := s.execs(t, pid)
	return said, execs[len(execs)-1]
}

// run runs a command and returns the truth it tells, the lines before that, and its pid.
func (s *scene) run(t *testing.T, c *exec.Cmd) (*truth, []string, int) {
	t.Helper()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", c.Path, c.Args, err)
	}
	before, last := splitTruth(out)
	if len(last) == 0 {
		return nil, before, c.Process.Pid
	}
	said := &truth{}
	if err := json.Unmarshal(last, said); err != nil {
		t.Fatalf("%s says %q: %v", c.Path, out, err)
	}
	return said, before, c.Process.Pid
}

// splitTruth cuts output into lines and the JSON that follows them.
func splitTruth(out []byte) (lines []string, rest []byte) {
	i := bytes.IndexByte(out, '{')
	if i < 0 {
		i = len(out)
	}
	return strings.Fields(string(out[:i])), out[i:]
}

// execs returns the exec records of a process that has exited, at least one.
func (s *scene) execs(t *testing.T, pid int) []*skepv1.Record {
	t.Helper()
	exit := s.exit(t, pid)
	execs := s.stream.All(func(r *skepv1.Record) bool {
		return r.Kind == "exec" && r.Process.GetProcessId() == exit.Process.ProcessId
	})
	if len(execs) == 0 {
		t.Fatalf("process %d has no exec record", pid)
	}
	return execs
}

// exit returns the last exit record of a pid.
func (s *scene) exit(t *testing.T, pid int) *skepv1.Record {
	t.Helper()
	s.stream.Wait(t, "exit", pid)
	exits := s.stream.Of("exit", pid)
	return exits[len(exits)-1]
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// cutFirst splits "TestRungs/best/argv" into its test, and what follows the rung.
func cutFirst(name string) (test, rest string, ok bool) {
	test, rest, _ = strings.Cut(name, "/")
	_, rest, ok = strings.Cut(rest, "/")
	return test, rest, ok
}

// truth is what a waiting helper says once its input has ended.
func (w *waiting) truth(t *testing.T) *truth {
	t.Helper()
	out, err := io.ReadAll(w.output)
	must(t, err)
	_, last := splitTruth(out)
	said := &truth{}
	must(t, json.Unmarshal(last, said))
	return said
}

// waitZombie waits until a process has ended.
func waitZombie(t *testing.T, pid int) {
	t.Helper()
	for range 1000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		must(t, err)
		if bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')'):], []byte(") Z")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d does not end", pid)
}
