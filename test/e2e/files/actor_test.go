// SPDX-License-Identifier: Apache-2.0

package files

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// callsEnv holds the system calls that this test's binary makes as a process of its own.
const callsEnv = "SKEP_FILES_CALLS"

// call is a system call by its name, with arguments as text.
type call []string

// act makes the calls and prints the name of each one's error, "" for none. A directory
// that a name is relative to is opened first.
func act(calls string) {
	runtime.LockOSThread()
	var list []call
	if err := json.Unmarshal([]byte(calls), &list); err != nil {
		panic(err)
	}
	var errors []string
	for _, c := range list {
		name := ""
		if err := c.make(); err != nil {
			errno, ok := err.(unix.Errno)
			if name = unix.ErrnoName(errno); !ok || name == "" {
				name = err.Error()
			}
		}
		errors = append(errors, name)
	}
	if err := json.NewEncoder(os.Stdout).Encode(errors); err != nil {
		panic(err)
	}
}

func (c call) at(i int) int {
	fd, err := unix.Open(c[i], unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", c, err))
	}
	return fd
}

func (c call) number(i int) int {
	n, err := strconv.ParseInt(c[i], 0, 64)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", c, err))
	}
	return int(n)
}

func (c call) make() error {
	opened := func(fd int, err error) error {
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	switch c[0] {
	case "chdir":
		return unix.Chdir(c[1])
	case "chroot":
		return unix.Chroot(c[1])
	case "bind": // in a mount namespace of its own
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		return unix.Mount(c[1], c[2], "", unix.MS_BIND|unix.MS_REC, "")
	case "storm": // makes and removes as many files
		for i := range c.number(2) {
			path := fmt.Sprintf("%s/%d", c[1], i)
			if err := opened(unix.Open(path, unix.O_WRONLY|unix.O_CREAT, 0o600)); err != nil {
				return err
			}
			if err := unix.Unlink(path); err != nil {
				return err
			}
		}
		return nil
	case "deep": // makes directories in each other, with short names, and goes there
		if err := unix.Chdir(c[1]); err != nil {
			return err
		}
		for range c.number(2) {
			if err := unix.Mkdir(c[3], 0o755); err != nil {
				return err
			}
			if err := unix.Chdir(c[3]); err != nil {
				return err
			}
		}
		return nil
	case "setuid":
		return unix.Setuid(c.number(1))
	case "open":
		return opened(unix.Open(c[1], c.number(2), 0o640))
	case "openat":
		return opened(unix.Openat(c.at(1), c[2], c.number(3), 0o600))
	case "openat2":
		return opened(unix.Openat2(unix.AT_FDCWD, c[1], &unix.OpenHow{Flags: uint64(c.number(2)), Mode: 0o644}))
	case "mkdir":
		return unix.Mkdir(c[1], 0o750)
	case "mkdirat":
		return unix.Mkdirat(c.at(1), c[2], 0o750)
	case "mknod":
		return unix.Mknod(c[1], unix.S_IFIFO|0o620, 0)
	case "rename":
		return unix.Rename(c[1], c[2])
	case "renameat2":
		return unix.Renameat2(c.at(1), c[2], c.at(3), c[4], uint(c.number(5)))
	case "unlink":
		return unix.Unlink(c[1])
	case "unlinkat":
		return unix.Unlinkat(c.at(1), c[2], c.number(3))
	case "rmdir":
		return unix.Rmdir(c[1])
	case "link":
		return unix.Link(c[1], c[2])
	case "symlink":
		return unix.Symlink(c[1], c[2])
	case "chmod":
		return unix.Chmod(c[1], uint32(c.number(2)))
	case "lchown":
		return unix.Lchown(c[1], c.number(2), c.number(3))
	case "chown":
		return unix.Chown(c[1], c.number(2), c.number(3))
	case "fchmod", "fchown":
		fd, err := unix.Open(c[1], unix.O_RDONLY, 0)
		if err != nil {
			panic(err)
		}
		defer unix.Close(fd)
		if c[0] == "fchmod" {
			return unix.Fchmod(fd, uint32(c.number(2)))
		}
		return unix.Fchown(fd, c.number(2), c.number(3))
	case "tmpfile": // made without a name, and named afterwards
		fd, err := unix.Open(c[1], unix.O_TMPFILE|unix.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, c[2], unix.AT_SYMLINK_FOLLOW)
	}
	panic(fmt.Sprintf("no such call: %q", c))
}

// play makes the calls in one process. It returns its id and each call's error.
func play(t *testing.T, calls ...call) (pid uint32, errors []string) {
	t.Helper()
	text, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/proc/self/exe")
	c.Env, c.Stderr, c.Dir = []string{callsEnv + "=" + string(text)}, os.Stderr, "/"
	out, err := c.Output()
	if err != nil {
		t.Fatalf("the actor failed: %v", err)
	}
	if err := json.Unmarshal(out, &errors); err != nil {
		t.Fatalf("the actor said %q: %v", out, err)
	}
	return uint32(c.Process.Pid), errors
}
