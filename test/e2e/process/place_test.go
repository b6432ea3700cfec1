// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func testNamespaces(t *testing.T, s *scene) {
	all := uintptr(syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET | unix.CLONE_NEWCGROUP)
	for name, flags := range map[string]uintptr{"own": 0, "new": all} {
		t.Run(name, func(t *testing.T) {
			c := s.helper("truth")
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
			if flags != 0 {
				// Its /proc must be that of its pid namespace: mounted by a first exec.
				c.Env = next("own proc", s.self)
			}
			said, r := s.tell(t, c)
			said.check(t, r)
			if flags != 0 {
				equal(t, "ns_pid", r.GetExec().NsPid, 1)
			}
			s.keep(t, "exec", r)
		})
	}
}

// ownProc mounts the /proc of this pid namespace and goes on as args[0] with verb truth.
func ownProc(args []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	return execNext(append(args, "truth"))
}

func testTerminal(t *testing.T, s *scene) {
	terminal, name := openTerminal(t)
	c := s.helper("truth")
	c.Stdin, c.SysProcAttr = terminal, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	said, r := s.tell(t, c)
	said.check(t, r)
	equal(t, "tty", r.GetExec().Tty, name)
	equal(t, "session", r.GetExec().Session, uint32(c.Process.Pid))
	s.keep(t, "exec", r)
	t.Run("none", func(t *testing.T) {
		c := s.helper("truth")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		said, r := s.tell(t, c)
		said.check(t, r)
		equal(t, "tty", r.GetExec().Tty, "")
	})
}

// openTerminal makes a pseudoterminal and returns its slave side.
func openTerminal(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	name := fmt.Sprintf("pts/%d", n)
	slave, err := os.OpenFile("/dev/"+name, os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { slave.Close() })
	return slave, name
}
