// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// farCommand is what runs on the other host; it is split by the shell there.
const farCommand = "skep stdio"

const (
	// ssh's own failures, and the shell's where there is no skep; see ssh(1), sh(1).
	statusSSH      = 255
	statusNotFound = 127
	// endGrace is how long ssh gets to end by itself.
	endGrace = 2 * time.Second
)

// sshConn is a connection to an agent by way of a process.
type sshConn struct {
	net.Conn
	ssh  *exec.Cmd
	said *tail
	// done is closed when the process has ended.
	done   chan struct{}
	closed atomic.Bool
	broken breakage
}

func (h Host) dialSSH(ctx context.Context, timeout time.Duration) (*sshConn, error) {
	c, err := h.start(timeout)
	if err != nil {
		return nil, &Error{reason: err.Error()}
	}
	if err := c.greet(ctx, timeout); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// args are ssh's. The user's configuration decides about keys and trust; but
// ssh must not ask, must not give the far end a way back here (agent, X11,
// forwardings), and must run our command, not that of the configuration.
func (h Host) args(timeout time.Duration) []string {
	args := []string{"-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none",
		"-o", "ConnectTimeout=" + strconv.Itoa(int(math.Ceil(max(1, timeout.Seconds()))))}
	if h.User != "" {
		args = append(args, "-l", h.User)
	}
	if h.Port != "" {
		args = append(args, "-p", h.Port)
	}
	return append(args, "--", h.Name, farCommand)
}

func (h Host) start(timeout time.Duration) (*sshConn, error) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return nil, errors.New("find ssh: it is not in PATH; install the OpenSSH client (package openssh-client)")
	}
	near, far, err := pair()
	if err != nil {
		return nil, fmt.Errorf("make a socket pair for ssh: %w", err)
	}
	defer far.Close()
	c := &sshConn{Conn: near, said: &tail{}, done: make(chan struct{}), ssh: exec.Command(program, h.args(timeout)...)}
	c.ssh.Stdin, c.ssh.Stdout, c.ssh.Stderr = far, far, c.said
	// A group of its own: the terminal's Ctrl-C is for us, and what ssh starts
	// (ProxyCommand) ends with it.
	c.ssh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.ssh.WaitDelay = endGrace // a master that stays (ControlPersist) may hold stderr
	if err := c.ssh.Start(); err != nil {
		near.Close()
		return nil, fmt.Errorf("start ssh: %w", err)
	}
	go func() {
		_ = c.ssh.Wait() // how it ended is in ProcessState
		close(c.done)
	}()
	return c, nil
}

// pair is a connection whose other end is a file for a process.
func pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	near, far := os.NewFile(uintptr(fds[0]), "near end"), os.NewFile(uintptr(fds[1]), "far end")
	defer near.Close() // FileConn has a duplicate
	conn, err := net.FileConn(near)
	if err != nil {
		return nil, nil, errors.Join(err, far.Close())
	}
	return conn, far, nil
}

// greet waits for the far end.
func (c *sshConn) greet(ctx context.Context, timeout time.Duration) error {
	_ = c.Conn.SetReadDeadline(time.Now().Add(timeout)) // cannot fail on an open socket
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := awaitPreamble(c.Conn)
	var other *notSkep
	switch {
	case err == nil:
		_ = c.Conn.SetReadDeadline(time.Time{})
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{reason: fmt.Sprintf("no answer within %v%s; a longer --timeout waits longer", timeout, c.said.quote())}
	case errors.As(err, &other):
		other.said += c.moment()
		return &Error{reason: other.Error()}
	}
	return c.ended(err)
}

// moment is what more comes in a moment, for a message.
func (c *sshConn) moment() string {
	_ = c.Conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	more := make([]byte, 80)
	n, _ := io.ReadFull(c.Conn, more) // whatever came is what we want
	return string(more[:n])
}

// Read implements net.Conn. Its error says how the connection ended.
func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !c.closed.Load() && !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, c.broken.by(c.ended(err))
	}
	return n, err
}

// Write implements net.Conn, as Read does.
func (c *sshConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && !c.closed.Load() && !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, c.broken.by(c.ended(err))
	}
	return n, err
}

// Broken implements Conn.
func (c *sshConn) Broken() error { return c.broken.get() }

// ended says why nothing more comes: it waits a little for ssh to end.
func (c *sshConn) ended(err error) *Error {
	select {
	case <-c.done:
	case <-time.After(endGrace):
		return &Error{reason: fmt.Sprintf("the connection ended: %v%s", err, c.said.quote())}
	}
	status := c.ssh.ProcessState.ExitCode()
	switch status {
	case 0:
		return &Error{reason: "the other end closed the connection" + c.said.quote()}
	case statusSSH:
		return &Error{reason: "ssh failed" + c.said.quote()}
	case statusNotFound:
		return &Error{Status: status, reason: "skep is not in the PATH of the user there; install it on that host" + c.said.quote()}
	}
	if said := strings.TrimPrefix(c.said.last(), "skep: "); said != "" && status > 0 {
		return &Error{Status: status, reason: said}
	}
	return &Error{Status: max(0, status), reason: fmt.Sprintf("ssh ended (%v)%s", c.ssh.ProcessState, c.said.quote())}
}

// Close ends the connection and ssh.
func (c *sshConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	err := c.Conn.Close()
	c.kill(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(endGrace):
		c.kill(syscall.SIGKILL)
		<-c.done
	}
	return err
}

// kill signals ssh's whole group, unless ssh has been waited for: the number
// may be another's by then.
func (c *sshConn) kill(sig syscall.Signal) {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(-c.ssh.Process.Pid, sig) // it may have just ended
	}
}
