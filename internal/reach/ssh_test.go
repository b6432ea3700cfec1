// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// fakeSSH puts a shell script in ssh's place.
func fakeSSH(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestDialFailures(t *testing.T) {
	for name, c := range map[string]struct {
		script, want string
		status       int
	}{
		"ssh fails":   {"echo 'ops@web-1: Permission denied (publickey).' >&2; exit 255", "ssh failed: ops@web-1: Permission denied (publickey).", 0},
		"no skep":     {"echo 'sh: 1: skep: not found' >&2; exit 127", "skep is not in the PATH of the user there", 127},
		"no agent":    {"echo 'skep: no agent answers at /run/skep/skep.sock' >&2; exit 3", "no agent answers at /run/skep/skep.sock", 3},
		"greeting":    {"echo Welcome; exec sleep 100", `answered: "Welcome\n"; does the shell`, 0},
		"silent end":  {"exit 0", "the other end closed the connection", 0},
		"half a line": {"printf 'skep std'", `answered: "skep std"`, 0},
		"other skep":  {"echo skep stdio 2; exec sleep 100", `answered: "skep stdio 2\n"`, 0},
		"binary":      {`printf '\033[31m\000\377'; exec sleep 100`, `answered: "\x1b[31m\x00\xff"`, 0},
		"escapes":     {`printf 'sad \033[31m\n' >&2; exit 255`, `ssh failed: sad \x1b[31m`, 0},
		"much":        {`yes 'very sad' | head -c 1000000 >&2; exit 255`, "very sad; very sad", 0},
		"killed":      {`kill -9 $$`, "ssh ended (signal: killed)", 0},
		"odd status":  {`echo 'Segmentation fault' >&2; exit 139`, "Segmentation fault", 139},
	} {
		t.Run(name, func(t *testing.T) {
			fakeSSH(t, c.script)
			conn, err := Host{Name: "web-1"}.Dial(t.Context(), Options{Timeout: patience})
			var e *Error
			if !errors.As(err, &e) || conn != nil {
				t.Fatalf("%v, %v", conn, err)
			}
			if e.Status != c.status || !strings.Contains(e.Error(), c.want) || len(e.Error()) > 2000 || strings.ContainsRune(e.Error(), 0x1b) {
				t.Errorf("status %d, %.3000q, want %d, %q", e.Status, e, c.status, c.want)
			}
		})
	}
	t.Run("no ssh", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := (Host{Name: "web-1"}).Dial(t.Context(), Options{Timeout: patience}); err == nil || !strings.Contains(err.Error(), "install the OpenSSH client") {
			t.Error(err)
		}
	})
	t.Run("bad host", func(t *testing.T) {
		fakeSSH(t, "touch "+filepath.Join(t.TempDir(), "ran"))
		if _, err := (Host{Name: "-oProxyCommand=id"}).Dial(t.Context(), Options{Timeout: patience}); err == nil || !strings.Contains(err.Error(), "is not the name") {
			t.Error(err)
		}
	})
}

// What hangs is ended, with what it has started.
func TestDialHangs(t *testing.T) {
	dir := t.TempDir()
	for name, dial := range map[string]func() error{
		"timeout": func() error {
			_, err := Host{Name: "web-1"}.Dial(t.Context(), Options{Timeout: time.Second})
			return err
		},
		"interrupted": func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := Host{Name: "web-1"}.Dial(ctx, Options{Timeout: patience})
			return err
		},
	} {
		pids := filepath.Join(dir, name)
		fakeSSH(t, "trap '' TERM; sleep 1000 & echo $! $$ > "+pids+"; wait; wait")
		err := dial()
		if name == "timeout" && (err == nil || !strings.Contains(err.Error(), "no answer within 1s")) || name == "interrupted" && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		text, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range strings.Fields(string(text)) {
			awaitGone(t, pid)
		}
	}
}

// awaitGone waits until a process is no more, or is a zombie that nobody of
// ours has to wait for.
func awaitGone(t *testing.T, pid string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s still runs", pid)
		}
	}
}

// A connection carries bytes both ways, and says how it ended.
func TestConn(t *testing.T) {
	fakeSSH(t, `echo skep stdio 1; read line; echo "got $line"; read line; echo 'web-1: reset by peer' >&2; exit 255`)
	conn, err := Host{Name: "web-1"}.Dial(t.Context(), Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.Broken() != nil {
		t.Error("it is broken already")
	}
	buf := make([]byte, 10)
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "got hello\n" {
		t.Fatalf("%q, %v", buf, err)
	}
	if _, err := io.WriteString(conn, "end\n"); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Read(buf)
	if err == nil || !strings.Contains(err.Error(), "ssh failed: web-1: reset by peer") || conn.Broken() == nil {
		t.Errorf("%v, %v", err, conn.Broken())
	}
	// A broken pipe is that of the output, for who prints; this is not it.
	for range 100 {
		if _, err = io.WriteString(conn, "more\n"); err != nil {
			break
		}
	}
	if err == nil || errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to the dead: %v", err)
	}
}

func TestRelay(t *testing.T) {
	near, agent := net.Pipe()
	stdin, typed := io.Pipe()
	shown, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Relay(agent, stdin, stdout) }()
	if err := awaitPreamble(shown); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(typed, "question")
	got := make([]byte, 8)
	if _, err := io.ReadFull(near, got); err != nil || string(got) != "question" {
		t.Fatalf("%q, %v", got, err)
	}
	go io.WriteString(near, "answers!")
	if _, err := io.ReadFull(shown, got); err != nil || string(got) != "answers!" {
		t.Fatalf("%q, %v", got, err)
	}
	typed.Close() // who asks has gone
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if _, err := near.Read(got); err != io.EOF {
		t.Errorf("the agent's connection: %v", err)
	}
}

// Anything may come instead of the preamble.
func FuzzPreamble(f *testing.F) {
	f.Add([]byte(preamble))
	f.Add([]byte("skep stdio 12"))
	f.Add([]byte("Last login: today\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, said []byte) {
		r := strings.NewReader(string(said))
		err := awaitPreamble(r)
		rest, ok := strings.CutPrefix(string(said), preamble)
		if ok != (err == nil) || ok && r.Len() != len(rest) {
			t.Fatalf("%q: %v, %d bytes left", said, err, r.Len())
		}
	})
}
