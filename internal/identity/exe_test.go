// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// deep makes a directory whose path is longer than a page, and returns its descriptor.
func deep(t *testing.T) int {
	t.Helper()
	at, err := unix.Open(t.TempDir(), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	name := strings.Repeat("d", 200)
	for range 25 {
		if err != nil {
			t.Fatal(err)
		}
		above := at
		if err = unix.Mkdirat(above, name, 0o755); err == nil {
			at, err = unix.Openat(above, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		unix.Close(above)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(at) })
	return at
}

// TestUnreadableExe: a process whose executable has a path that cannot be read is not taken
// for a kernel thread, and a kernel thread is.
func TestUnreadableExe(t *testing.T) {
	dir := fmt.Sprintf("/proc/self/fd/%d", deep(t))
	text, err := os.ReadFile("/bin/sleep")
	if err == nil {
		err = os.WriteFile(dir+"/sleep", text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := osexec.Command("./sleep", "60")
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	link := procDir(uint32(c.Process.Pid)) + "exe"
	if path, err := os.Readlink(link); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Fatalf("its executable can be read: %.50s..., %v", path, err)
	}
	p := scanned(t, c.Process.Pid)
	if seen := readName(p.ID); seen.exe != link || seen.comm != "sleep" {
		t.Errorf("seen as %+v", seen)
	}
	body, _ := readProc(p.ID, nil)
	if body.GetFile().GetPath() != link || len(body.GetArgs()) != 2 {
		t.Errorf("read as %v", body)
	}
	if comm, err := os.ReadFile("/proc/2/comm"); err == nil && string(comm) == "kthreadd\n" {
		s, _ := readStat("/proc/2/")
		if seen := readName(abi.ExecID{Tgid: 2, StartNS: s.ticks * 1e7}); seen.exe != "" || seen.comm != "kthreadd" {
			t.Errorf("the kernel's is seen as %+v", seen)
		}
	}
}
