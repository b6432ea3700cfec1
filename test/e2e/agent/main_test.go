// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// verbEnv makes the test binary do something to itself and then become another program:
// "drop N..." takes capabilities from the bounding set, "hide DIR", "boot FILE", "no-bpffs" and "no-cgroups" change
// the mounts that it sees.
const verbEnv = "SKEP_AGENT_TEST_VERB"

func TestMain(m *testing.M) {
	if verb := os.Getenv(verbEnv); verb != "" {
		fmt.Fprintln(os.Stderr, "helper:", become(strings.Fields(verb)))
		os.Exit(99)
	}
	os.Exit(skepdtest.Main(m))
}

// become returns only if it fails.
func become(verb []string) error {
	runtime.LockOSThread() // mounts and capabilities are the thread's, and it is the one that execs
	var err error
	switch verb[0] {
	case "drop":
		err = dropCapabilities(verb[1:])
	case "hide":
		err = hide(verb[1])
	case "boot":
		err = otherBoot(verb[1])
	case "no-bpffs":
		err = withoutBPFFS()
	case "no-cgroups":
		err = withoutCgroups()
	}
	if err != nil {
		return err
	}
	if err := os.Unsetenv(verbEnv); err != nil {
		return err
	}
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

func dropCapabilities(numbers []string) error {
	for _, n := range numbers {
		bit, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(bit), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", bit, err)
		}
	}
	return nil
}

// ownMounts gives this thread mounts of its own.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

func hide(dir string) error {
	if err := ownMounts(); err != nil {
		return err
	}
	return unix.Mount("none", dir, "tmpfs", 0, "")
}

// otherBoot has the boot id that is in a file.
func otherBoot(file string) error {
	if err := ownMounts(); err != nil {
		return err
	}
	return unix.Mount(file, "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, "")
}

// withoutCgroups leaves no cgroup file system.
func withoutCgroups() error {
	if err := ownMounts(); err != nil {
		return err
	}
	return unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH)
}

// withoutBPFFS leaves no /sys/fs/bpf to mount at, but the cgroups where they are.
func withoutBPFFS() error {
	if err := ownMounts(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "skep-cgroups-")
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return unix.Mount("/sys/fs/cgroup", dir, "", unix.MS_BIND|unix.MS_REC, "") },
		func() error { return unix.Mount("none", "/sys/fs", "tmpfs", 0, "") },
		func() error { return os.Mkdir("/sys/fs/cgroup", 0o755) },
		func() error { return unix.Mount(dir, "/sys/fs/cgroup", "", unix.MS_MOVE, "") },
		func() error { return os.Remove(dir) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
