// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/skep-io/skep/internal/config"
)

// asNobody runs skep as a user without any right. /proc/self/exe because the
// test's own directory is closed to that user.
func asNobody(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0], cmd.Dir = "skep", "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var out strings.Builder
	cmd.Stderr = &out
	cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestSocketThatIsNotForUs(t *testing.T) {
	dir, err := os.MkdirTemp("", "skep-cli-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	stop, err := serveFake(dir+"/s", &fakeAgent{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	code, stderr := asNobody(t, "ps", "--socket", dir+"/s")
	if code != exitRefused || !strings.Contains(stderr, "permission denied; run as root, or become a member of the group") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestNoAgentAndNotRoot(t *testing.T) {
	if probe(context.Background(), config.Default().Socket) == nil {
		t.Skip("an agent runs on this host at the default socket")
	}
	for _, args := range [][]string{{"observe"}, {"ps"}, {"status"}, {"connections"}} {
		code, stderr := asNobody(t, args...)
		if code != exitNoAgent || !strings.Contains(stderr, "or run this command with sudo to get a private agent") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

func TestUpNeedsRoot(t *testing.T) {
	code, stderr := asNobody(t, "up")
	if code != exitRefused || !strings.Contains(stderr, "needs root; run it") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
