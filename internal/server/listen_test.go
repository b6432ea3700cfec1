// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-listen-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func listenAt(path string) (net.Listener, error) { return Listen(path, slog.New(slog.DiscardHandler)) }

func TestListenMakesASocketForAll(t *testing.T) {
	path := filepath.Join(shortDir(t), "new", "skep.sock")
	l, err := listenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestListenOnWhatIsThere(t *testing.T) {
	dir := shortDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	live, err := listenAt(at("live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	os.WriteFile(at("file"), []byte("precious"), 0o600)
	os.Mkdir(at("dir"), 0o755)
	os.Symlink(at("live"), at("link"))
	for name, want := range map[string]string{
		"live":                   fmt.Sprintf("process %d (", os.Getpid()),
		"file":                   "there is something else at this path (a file)",
		"dir":                    "(a directory)",
		"link":                   "(a symbolic link)",
		"file/below":             "make its directory",
		strings.Repeat("x", 120): "a socket's can have 107; choose a shorter one",
	} {
		l, err := listenAt(at(name))
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v\nwant %s", name, err, want)
		}
		if errors.Is(err, ErrTaken) != (name == "live") {
			t.Errorf("%.20s: ErrTaken is wrong for %v", name, err)
		}
		if checked := CheckSocket(at(name)); name != "file/below" && (checked == nil || !strings.Contains(err.Error(), checked.Error())) {
			t.Errorf("%.20s: CheckSocket says %v, Listen %v", name, checked, err)
		}
	}
	if _, err := listenAt("skep.sock"); err == nil || !strings.Contains(err.Error(), "relative") {
		t.Errorf("a relative path: %v", err)
	}
	if b, err := os.ReadFile(at("file")); string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
	if _, err := os.Lstat(at("link")); err != nil {
		t.Errorf("the link was touched: %v", err)
	}
}

// What kill -9 leaves behind must not keep the next agent from starting.
func TestListenReplacesADeadSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "skep.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := listenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// An agent that stops late must not remove the socket of the one that came after.
func TestCloseLeavesTheSuccessorsSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "skep.sock")
	old, err := listenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	successor, err := listenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	defer successor.Close()
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
}
