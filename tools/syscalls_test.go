// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The tables are those of golang.org/x/sys. Update them with UPDATE_DOCS=1.
func TestSyscallsAreCurrent(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)$`)
	for _, arch := range []string{"amd64", "arm64"} {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+arch+".go"))
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		for _, m := range line.FindAllStringSubmatch(string(source), -1) {
			fmt.Fprintf(&want, "%s %s\n", m[2], strings.ToLower(m[1]))
		}
		file := "syscalls_" + arch + ".txt"
		if os.Getenv("UPDATE_DOCS") != "" {
			if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want.Bytes()) || want.Len() < 3000 {
			t.Errorf("%s is not what golang.org/x/sys has (%v); run: UPDATE_DOCS=1 go test -run TestSyscallsAreCurrent ./tools", file, err)
		}
	}
}

func TestSyscallName(t *testing.T) {
	for number, want := range map[int64]string{unix.SYS_READ: "read", unix.SYS_OPENAT2: "openat2", -1: "", 1 << 40: ""} {
		if got := SyscallName(number); got != want {
			t.Errorf("%d is %q, expected %q", number, got, want)
		}
	}
}
