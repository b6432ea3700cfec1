// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/event"
)

// child is a program that runs for us. It dies with us (PDEATHSIG), and is in
// its own process group so that the terminal's Ctrl-C reaches only us: we stop
// it in order.
type child struct {
	name string
	cmd  *exec.Cmd
	log  *tail
	// done is closed when it has ended; then err says how.
	done chan struct{}
	err  error
}

// childOptions are what differs between children.
type childOptions struct {
	name  string
	path  string
	args  []string
	extra []*os.File // file descriptors from 3 on
	// credential is the user to become; the child then can never gain a
	// privilege again.
	credential *syscall.Credential
}

// startChild starts a program. PDEATHSIG is tied to the thread that forks
// (prctl(2)), so that thread belongs to the child until it ends, and then
// ends too: whatever was done to it is not inherited by anyone else.
func startChild(o childOptions) (*child, error) {
	c := &child{name: o.name, cmd: exec.Command(o.path, o.args...), log: &tail{}, done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.ExtraFiles = o.extra
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, Credential: o.credential}
	c.cmd.WaitDelay = 2 * time.Second
	if o.credential != nil {
		c.cmd.Args[0] = "skep" // not /proc/self/exe
		c.cmd.Env, c.cmd.Dir = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, "/"
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if o.credential != nil {
			if err := forgoPrivileges(); err != nil {
				started <- err
				return
			}
		}
		if err := c.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.name, err)
	}
	return c, nil
}

// forgoPrivileges empties this thread's capability bounding set and forbids
// set-uid programs, for it and for what it forks.
func forgoPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	for capability := uintptr(0); ; capability++ {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, capability, 0, 0, 0)
		if err != nil { // past the kernel's last capability
			return nil
		}
		if set == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
}

// stop asks the child to end and waits; after the grace period it is killed.
func (c *child) stop(grace time.Duration) error {
	select {
	case <-c.done:
		return c.failure()
	default:
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have just ended
	select {
	case <-c.done:
		return c.failure()
	case <-time.After(grace):
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.done
	return fmt.Errorf("stop %s: did not end within %v of SIGTERM and was killed", c.name, grace)
}

// failure says how the child ended and what it last said, or nil if it ended
// well. Only valid after done. Dying of our own SIGTERM is well.
func (c *child) failure() error {
	if c.err == nil {
		return nil
	}
	if ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGTERM {
		return nil
	}
	return fmt.Errorf("%s ended: %w%s", c.name, c.err, c.log.quote())
}

// sibling finds a program of ours: beside this one or, failing that, in PATH.
func sibling(name string) (string, error) {
	self, err := os.Executable()
	if err == nil {
		path := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fail(exitFailed, "find %s: it is neither beside %s nor in PATH; build it beside skep, or install it", name, self)
	}
	return path, nil
}

// tail keeps the last lines that a child wrote.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(p), nil
}

// lines returns the last n lines, safe to print.
func (t *tail) lines(n int) []string {
	t.mu.Lock()
	text := string(bytes.TrimSpace(t.buf))
	t.mu.Unlock()
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, l := range lines {
		lines[i] = event.Printable(l)
	}
	return lines
}

func (t *tail) quote() string {
	lines := t.lines(8)
	if len(lines) == 0 {
		return "; it said nothing"
	}
	return "; it last said:\n  " + strings.Join(lines, "\n  ")
}
