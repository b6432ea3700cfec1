// SPDX-License-Identifier: Apache-2.0

package skepdtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binDirEnv names a directory with skepd and skep, ready to run.
const binDirEnv = "SKEP_BIN_DIR"

var build struct {
	once sync.Once
	dir  string
	err  error
}

// Main runs the tests and removes what Build made.
func Main(m *testing.M) int {
	code := m.Run()
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
	return code
}

// Build returns the path of a program, "skepd" or "skep".
func Build(t testing.TB, program string) string {
	t.Helper()
	if dir := os.Getenv(binDirEnv); dir != "" {
		return filepath.Join(dir, program)
	}
	build.once.Do(func() { build.dir, build.err = buildAll() })
	if build.err != nil {
		t.Fatal(build.err)
	}
	return filepath.Join(build.dir, program)
}

func buildAll() (string, error) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w; without a Go toolchain set %s", err, binDirEnv)
	}
	dir, err := os.MkdirTemp("", "skep-e2e-bin-")
	if err != nil {
		return "", fmt.Errorf("build programs: %w", err)
	}
	// The command runs as another user in some tests.
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, fmt.Errorf("build programs: %w", err)
	}
	c := exec.Command("go", "build", "-o", dir+"/", "./cmd/skepd", "./cmd/skep")
	c.Dir = strings.TrimSpace(string(module))
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return dir, errors.Join(fmt.Errorf("build programs: %w: %s", err, out), os.RemoveAll(dir))
	}
	return dir, nil
}
