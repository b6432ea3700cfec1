// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

func cgroupID(dir string) (uint64, error) {
	var st syscall.Stat_t
	err := syscall.Stat(dir, &st)
	return st.Ino, err
}

// removeCgroups removes a cgroup and its parents from all hierarchies where
// they are empty; the runtimes leave a container's parents behind.
func removeCgroups(cgroupPath string) {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.Contains(line, " - cgroup") {
			continue
		}
		for p := path.Join("/", cgroupPath); p != "/"; p = path.Dir(p) {
			_ = syscall.Rmdir(filepath.Join(f[4], p)) // fails for one in use, as it should
		}
	}
}
