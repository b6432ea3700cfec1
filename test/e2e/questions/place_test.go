// SPDX-License-Identifier: Apache-2.0

package questions

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// inside is a command in the script's network namespace: ip becomes it.
func (s *script) inside(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", s.space, name}, args...)...)
}

// background runs a command there until the test ends.
func (s *script) background(t *testing.T, name string, args ...string) (pid int) {
	t.Helper()
	c := s.inside(name, args...)
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c.Process.Pid
}

// listening waits until somebody in a process's network namespace listens on a port.
func listening(t *testing.T, pid, port int) {
	t.Helper()
	eventually(t, fmt.Sprintf("port %d of process %d listens", port, pid), func() bool {
		for _, table := range []string{"tcp", "tcp6"} {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == "0A" {
					return true
				}
			}
		}
		return false
	})
}

const memoryLimit = 64 << 20

// memoryCgroup makes a cgroup with a memory limit, v1 or v2, until the test ends.
func memoryCgroup(t *testing.T, limit int) (dir string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(table)) {
		file := ""
		f := strings.Fields(line)
		switch {
		case strings.Contains(line, " - cgroup ") && strings.Contains(f[len(f)-1], "memory"):
			file = "memory.limit_in_bytes"
		case strings.Contains(line, " - cgroup2 ") && os.WriteFile(f[4]+"/cgroup.subtree_control", []byte("+memory"), 0) == nil:
			file = "memory.max"
		default:
			continue
		}
		dir = filepath.Join(f[4], fmt.Sprint("skep-questions-", os.Getpid()))
		must(t, os.Mkdir(dir, 0o755))
		t.Cleanup(func() {
			eventually(t, "the cgroup is empty", func() bool { return !errors.Is(unix.Rmdir(dir), unix.EBUSY) })
		})
		must(t, os.WriteFile(filepath.Join(dir, file), []byte(fmt.Sprint(limit)), 0))
		return dir
	}
	t.Skip("needs a memory controller: no cgroup hierarchy has it")
	return ""
}
