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
int main(void) { static volatile long here; char c; if (read(0, &c, 1) != 1) return 1; for (int i = 0; i < 5; i++) add(1, &here); return 0; }
`

// The address that a function is called with is watched from its first call on, before it
// writes there: the process waits for that.
func TestWatchArgument(t *testing.T) {
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
	defer func() { _ = cmd.Process.Kill() }()
	s := start(t, `watchpoint:add+arg1:8:w { @++; if (@ == 3) { unwatch(1); } if (@ == 5) { printf("%s", probe); exit(); } }`, bt.Options{PID: cmd.Process.Pid, Unsafe: true})
	got := follow(t, s, func() {
		if _, err := in.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	if !strings.HasPrefix(got.text, "watchpoint:add:8:w") || !strings.Contains(got.text, "@: 5") {
		t.Errorf("got %q", got.text)
	}
}
