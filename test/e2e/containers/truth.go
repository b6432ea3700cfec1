// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

// CgroupOf returns the cgroup id and path of a process in h, from /proc and a
// stat: the truth that does not pass through what is tested.
func CgroupOf(t testing.TB, h cgroup.Hierarchy, pid int) (id uint64, path string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, path, ok := h.ProcPath(string(text))
	if !ok {
		t.Fatalf("process %d is not in %s: %s", pid, h, text)
	}
	id, err = cgroupID(filepath.Join(h.Mount, path))
	if err != nil {
		t.Fatalf("stat cgroup %s: %v", path, err)
	}
	return id, path
}

// Eventually waits up to 10 s for a condition, and fails with what otherwise.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
