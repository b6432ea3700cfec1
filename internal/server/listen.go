// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/event"
)

// maxSocketPath is sizeof(sockaddr_un.sun_path) less the terminating NUL.
const maxSocketPath = 107

// ErrTaken says that another program, which may be an agent, serves the socket.
var ErrTaken = errors.New("is listening")

// Listen makes the agent's socket. A dead socket in its place is removed, a
// live one is ErrTaken, and anything else there is left alone.
//
// Its mode is 0666: who may do what is decided by role for each call, and the
// refusal can say which group to join. A tighter mode would only turn that
// into a bare "permission denied" of connect(2).
func Listen(path string, logger *slog.Logger) (net.Listener, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("listen on %s: make its directory: %w", path, err)
	}
	if err := clearStale(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // by then the path may be another agent's: see Close
	made, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &listener{UnixListener: l, path: path, made: made, logger: logger}, nil
}

// CheckSocket says what would keep Listen from having a path, without changing anything.
func CheckSocket(path string) error {
	if err := checkSocketPath(path); err != nil {
		return err
	}
	_, err := dead(path)
	return err
}

func checkSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path has %d bytes, a socket's can have %d; choose a shorter one", len(path), maxSocketPath)
	}
	if !filepath.IsAbs(path) {
		return errors.New("the path is relative; give one that begins with /")
	}
	return nil
}

// clearStale removes a socket that nobody listens on.
func clearStale(path string) error {
	if stale, err := dead(path); err != nil || !stale {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the dead socket: %w", err)
	}
	return nil
}

// dead tells whether a socket that nobody listens on is in the way. Anything else that is
// there is an error.
func dead(path string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return false, fmt.Errorf("there is something else at this path (%s); move it away or choose another path", describe(info))
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		defer conn.Close()
		return false, fmt.Errorf("%s %w at %s; stop it first or choose another path", listenerName(conn), ErrTaken, path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // EAGAIN is a live one with a full backlog
		return false, fmt.Errorf("another program %w at %s or it cannot be asked (%v); stop it first or choose another path", ErrTaken, path, err)
	}
	return true, nil
}

// listenerName says who made the socket that conn leads to, as the kernel knows it.
func listenerName(conn net.Conn) string {
	const unknown = "another program"
	peer, err := peerOf(conn.(*net.UnixConn))
	if err != nil || peer.pid <= 0 {
		return unknown
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", peer.pid))
	if err != nil {
		return unknown
	}
	return fmt.Sprintf("process %d (%s)", peer.pid, event.Printable(strings.TrimSpace(string(comm))))
}

func describe(info fs.FileInfo) string {
	switch t := info.Mode().Type(); {
	case t.IsRegular():
		return "a file"
	case t.IsDir():
		return "a directory"
	case t&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "not a socket"
}

// listener knows the peer of each connection.
type listener struct {
	*net.UnixListener
	path   string
	made   fs.FileInfo
	logger *slog.Logger
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(conn)
		if err != nil {
			l.logger.Warn("refused a connection", "error", err)
			conn.Close()
			continue
		}
		return &peerConn{Conn: conn, peer: p}, nil
	}
}

// Close stops listening and removes the socket, if it is still this one.
func (l *listener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}
