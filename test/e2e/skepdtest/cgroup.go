// SPDX-License-Identifier: Apache-2.0

package skepdtest

import (
	"os"
	"strings"
	"testing"
)

// Cgroup2 is where the root of cgroup2 is mounted, alone or beside v1: there skep attaches.
// The test fails if it is not, for no kernel is without.
func Cgroup2(t testing.TB) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" && !strings.Contains(f[1], `\`) { // no path with escapes
			return f[1]
		}
	}
	t.Fatal("cgroup2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
	return ""
}
