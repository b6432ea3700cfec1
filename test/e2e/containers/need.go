// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandTimeout bounds each call of ctr, runc and podman.
const commandTimeout = 60 * time.Second

// Need skips the test, saying why, unless it is root and the programs are there.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes containers")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: apt-get install containerd runc (and podman crun for podman)", p)
		}
	}
}

// UniqueName makes a name that no other test run uses at the same time.
func UniqueName(prefix string) string {
	return fmt.Sprintf("%s-%d-%x", prefix, os.Getpid(), time.Now().UnixNano()&0xffffff)
}

// output runs a command and fails the test if that does.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := try(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.WaitDelay = time.Second // a detached container may keep our pipes
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// tempDir is short enough for the path of a unix socket, unlike t.TempDir.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-containers-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

// probeEnv names the image's program, ready to run: where there is no Go toolchain.
const probeEnv = "SKEP_PROBE"

// BuildProbe compiles the image's program, statically, into dir.
func BuildProbe(t testing.TB, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "probe")
	if built := os.Getenv(probeEnv); built != "" {
		program, err := os.ReadFile(built)
		if err == nil {
			err = os.WriteFile(file, program, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs a Go toolchain: the containers' image is built from source")
	}
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file,
		"github.com/skep-io/skep/test/e2e/containers/probe")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v: %s", err, out)
	}
	return file
}
