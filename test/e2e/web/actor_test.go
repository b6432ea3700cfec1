// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// actorEnv makes the test binary a process that changes its host; it holds the directory to do
// it in.
const actorEnv = "SKEP_PAGE_ACTOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(actorEnv); dir != "" {
		if err := changeHost(dir); err != nil {
			fmt.Fprintln(os.Stderr, "actor:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(skepdtest.Main(m))
}

// hostile is a name that would be more than text on a page that is careless.
const hostile = "<img src=x onerror=alert(1)>"

// changeHost makes calls that change the host, in mounts of its own, prints a line, and lives
// until its input ends.
func changeHost(dir string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount(hostile, dir, "tmpfs", unix.MS_NOSUID, "size=64k"); err != nil {
		return err
	}
	if err := unix.Mount("none", filepath.Join(dir, "none"), "tmpfs", 0, ""); err == nil {
		return fmt.Errorf("mounted at a place that is not there")
	}
	fd, err := unix.MemfdCreate(hostile, unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := traceChild(); err != nil {
		return err
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// traceChild traces a child for a moment.
func traceChild() error {
	c := exec.Command("/bin/cat")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	// It has its name at the end of the exec, a little after Start returns: let it answer first.
	answer := make([]byte, 1)
	if _, err := in.Write(answer); err != nil {
		return err
	}
	if _, err := io.ReadFull(out, answer); err != nil {
		return err
	}
	err = unix.PtraceAttach(c.Process.Pid)
	if err == nil {
		_, err = unix.Wait4(c.Process.Pid, nil, unix.WALL, nil)
	}
	if err == nil {
		err = unix.PtraceDetach(c.Process.Pid)
	}
	fmt.Println(c.Process.Pid)
	in.Close()
	if err != nil {
		_ = c.Process.Kill() // it may be stopped
	}
	return errors.Join(err, c.Wait())
}

// actor is a process that has changed its host and lives until the test ends.
type actor struct {
	pid, traced int
	dir         string
}

func startActor(t *testing.T) actor {
	t.Helper()
	a := actor{dir: t.TempDir()}
	c := exec.Command(self)
	// Without the runtime's signals, which would be calls too.
	c.Env = append(os.Environ(), actorEnv+"="+a.dir, "GODEBUG=asyncpreemptoff=1")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the actor: %v", err)
		}
	})
	var said string
	if _, err := fmt.Fscan(out, &a.traced, &said); err != nil || said != "done" {
		t.Fatalf("the actor says %q: %v", said, err)
	}
	a.pid = c.Process.Pid
	return a
}

// calls is what the page has to show of it, oldest first.
func (a actor) calls() []string {
	return []string{
		"unshare mnt",
		"mount → / MS_REC|MS_PRIVATE",
		"mount " + hostile + " → " + a.dir + " tmpfs MS_NOSUID",
		"mount none → " + filepath.Join(a.dir, "none") + " tmpfs failed: ENOENT",
		"memfd_create " + hostile + " MFD_CLOEXEC",
		fmt.Sprintf("ptrace PTRACE_ATTACH → cat %d", a.traced),
	}
}
