// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// memoryCgroup is a cgroup with a memory limit, v1 or v2.
type memoryCgroup struct{ dir, path string }

func newMemoryCgroup(t *testing.T, limit int) memoryCgroup {
	t.Helper()
	mounted, v2 := memoryHierarchy(t)
	path := fmt.Sprintf("/skep-e2e-process-%d", os.Getpid())
	g := memoryCgroup{mounted + path, path}
	must(t, os.Mkdir(g.dir, 0o755))
	t.Cleanup(func() { removeDir(g.dir) })
	files := map[string]string{"memory.limit_in_bytes": fmt.Sprint(limit)}
	if v2 {
		must(t, os.WriteFile(g.dir+"/cgroup.subtree_control", []byte("+memory"), 0))
		files = map[string]string{"memory.max": fmt.Sprint(limit)}
	}
	for name, value := range files {
		must(t, os.WriteFile(filepath.Join(g.dir, name), []byte(value), 0))
	}
	return g
}

// memoryHierarchy finds where memory is controlled.
func memoryHierarchy(t *testing.T) (mounted string, v2 bool) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		switch {
		case strings.Contains(line, " - cgroup ") && strings.Contains(f[len(f)-1], "memory"):
			return f[4], false
		case strings.Contains(line, " - cgroup2 "):
			if err := os.WriteFile(f[4]+"/cgroup.subtree_control", []byte("+memory"), 0); err == nil {
				return f[4], true
			}
		}
	}
	t.Skip("needs a memory controller: no cgroup hierarchy has it")
	return "", false
}

// id is the cgroup's number: the inode of its directory.
func (g memoryCgroup) id(t *testing.T) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(g.dir, &st))
	return st.Ino
}
