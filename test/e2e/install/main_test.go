// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// insideEnv tells the test program that it runs in the root of its own.
const insideEnv = "SKEP_INSTALL_TEST_INSIDE"

func TestMain(m *testing.M) {
	switch {
	case os.Getuid() != 0:
		os.Exit(m.Run()) // each test says that it needs root
	case os.Getenv(insideEnv) == "":
		os.Exit(outside())
	case os.Getenv(insideEnv) == "enter":
		fmt.Fprintln(os.Stderr, "helper:", enter())
		os.Exit(99)
	}
	os.Exit(skepdtest.Main(m))
}

// outside makes what the tests need with the host's tools and files, and runs this program
// again inside.
func outside() int {
	dir, err := os.MkdirTemp("", "skep-install-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(build(bin), pack(filepath.Join(dir, "dist"), runtime.GOARCH)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	lock, err := lockHost()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer lock.Close()
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.Env = append(os.Environ(), insideEnv+"=enter", "SKEP_INSTALL_TEST_ROOT="+dir, "SKEP_BIN_DIR="+bin)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func build(bin string) error {
	c := exec.Command("go", "build", "-o", bin+"/", "github.com/skep-io/skep/cmd/skepd", "github.com/skep-io/skep/cmd/skep")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build programs: %w: %s", err, out)
	}
	return nil
}

// commitTime stands for the time of a commit.
const commitTime = "1700000000"

// pack makes the release as "make dist" does.
func pack(dir, architectures string) error {
	c := exec.Command("go", "run", "./packaging", "-o", dir, "-version", "0.1.0-test", "-ldflags", "-s -w", "-arch", architectures)
	c.Dir = "../../.."
	c.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+commitTime)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("make dist: %w: %s", err, out)
	}
	return nil
}

// lockHost waits for other tests with an agent that pins: there can be only one.
func lockHost() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "skep-test-agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return f, unix.Flock(int(f.Fd()), unix.LOCK_EX)
}

// enter makes the overlay this process's root and starts the program in it anew. It
// returns only if it fails.
func enter() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	top := filepath.Join(os.Getenv("SKEP_INSTALL_TEST_ROOT"), "overlay")
	root := filepath.Join(top, "root")
	if err := os.Mkdir(top, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("none", top, "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(top, dir), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", top, top)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, root+dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
	}
	if err := unix.Mount("none", root+"/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir(here); err != nil {
		return err
	}
	if err := os.Setenv(insideEnv, "yes"); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it installs")
	}
}
