// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
)

const writerSource = `#include <unistd.h>
__attribute__((noinline)) void add(int by, volatile long *to) { *to += by; }
__attribute__((noinline)) void stop(volatile long *at) { __asm__ volatile("" : : "r"(at)); }
int main(void) { static volatile long here; char c; if (read(0, &c, 1) != 1) return 1; for (int i = 0; i < 5; i++) { if (i == 3) stop(&here); add(1, &here); } return 0; }
`

// writer starts a program that writes once it is told to.
func writer(t *testing.T) (pid int, path string, write func()) {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("needs gcc: builds a program that writes")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "writer.c"), filepath.Join(dir, "writer")
	if err := os.WriteFile(source, []byte(writerSource), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-O1", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd.Process.Pid, program, func() {
		if _, err := in.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// The address that a function is called with is watched from its first call on, before it
// writes there: the process waits for that.
func TestWatchArgument(t *testing.T) {
	pid, _, write := writer(t)
	s := start(t, `watchpoint:add+arg1:8:w { @++; if (@ == 3) { unwatch(1); } if (@ == 5) { printf("%s", probe); exit(); } }`, bt.Options{PID: pid, Unsafe: true})
	got := follow(t, s, write)
	if !strings.HasPrefix(got.text, "watchpoint:add:8:w") || !strings.Contains(got.text, "@: 5") {
		t.Errorf("got %q", got.text)
	}
}

// TestWatchAgain: an address that is watched no more is watched again when the function is
// called with it again.
func TestWatchAgain(t *testing.T) {
	pid, program, write := writer(t)
	s := start(t, `watchpoint:add+arg1:8:w { @++; } uprobe:`+program+`:stop { unwatch(arg0); @unwatched++; }`, bt.Options{PID: pid, Unsafe: true})
	if got := follow(t, s, write); !strings.Contains(got.text, "@: 5") || !strings.Contains(got.text, "@unwatched: 1") {
		t.Errorf("got %q", got.text)
	}
}
