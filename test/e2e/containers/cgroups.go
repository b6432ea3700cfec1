// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func cgroupID(dir string) (uint64, error) {
	var st syscall.Stat_t
	err := syscall.Stat(dir, &st)
	return st.Ino, err
}

// removeCgroups removes a cgroup and its parents from all hierarchies where
// they are empty; the runtimes leave a container's parents behind. The last
// process may need a moment to go.
func removeCgroups(cgroupPath string) {
	deadline := time.Now().Add(time.Second)
	for removeOnce(cgroupPath) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
}

func removeOnce(cgroupPath string) (busy bool) {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.Contains(line, " - cgroup") {
			continue
		}
		for p := path.Join("/", cgroupPath); p != "/"; p = path.Dir(p) {
			busy = syscall.Rmdir(filepath.Join(f[4], p)) == syscall.EBUSY || busy
		}
	}
	return busy
}
