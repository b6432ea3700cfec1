// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestHierarchy(t *testing.T) {
	full, bare := t.TempDir(), t.TempDir()
	for dir, controllers := range map[string]string{full: "cpuset cpu memory pids\n", bare: "\n"} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte(controllers), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v1 := "cgroup /v1/cpu cgroup rw,cpu 0 0\ncgroup /v1/memory cgroup rw,nosuid,memory 0 0\n"
	for _, tt := range []struct{ name, mounts, want string }{
		{"v2", fmt.Sprintf("proc /proc proc rw 0 0\ncgroup2 %s cgroup2 rw 0 0\n", full), full},
		{"hybrid", fmt.Sprintf("cgroup2 %s cgroup2 rw 0 0\n%s", bare, v1), "/v1/memory"},
		{"v1", v1, "/v1/memory"},
		{"v2 without controllers", fmt.Sprintf("cgroup2 %s cgroup2 rw 0 0\n", bare), bare},
		{"none", "odd\nproc /proc proc rw 0 0\n", ""},
	} {
		if got := hierarchy(tt.mounts); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
