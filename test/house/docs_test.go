// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stepTimeout bounds each command that a document shows.
const stepTimeout = 30 * time.Second

// patience is how long an answer may lag behind what has happened.
const patience = 5 * time.Second

// interruptAfter is how long a command runs that the document ends with ^C.
const interruptAfter = 3 * time.Second

// TestDocs runs the console blocks of README.md and docs/ against a real agent.
func TestDocs(t *testing.T) {
	type document struct {
		name   string
		blocks []block
	}
	var documents []document
	readme := false
	for _, f := range files(t, ".md") {
		if f.name != "README.md" && !strings.HasPrefix(f.name, "docs/") {
			continue
		}
		found, err := blocks(string(f.text))
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		if len(found) > 0 {
			documents = append(documents, document{f.name, found})
			readme = readme || f.name == "README.md"
		}
	}
	if !readme {
		t.Error("README.md: shows no command that is tested; mark a block ```console")
	}
	if len(documents) == 0 {
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: the documents' commands need an agent")
	}
	a := startAgent(t)
	for _, d := range documents {
		for _, b := range d.blocks {
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(d.name), b.line), func(t *testing.T) { a.run(t, d.name, b) })
		}
	}
}

// agent is a private skepd, and the directory of the programs that ask it.
type agent struct{ dir, bin string }

func startAgent(t *testing.T) agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-docs-") // short enough for the path of a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := agent{dir: dir, bin: filepath.Join(dir, "bin")}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", a.bin+"/", "./cmd/skep", "./cmd/skepd")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// The documents say sudo, which root need not have.
	if err := os.WriteFile(filepath.Join(a.bin, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	a.start(t)
	return a
}

func (a agent) start(t *testing.T) {
	t.Helper()
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	var log bytes.Buffer
	c := exec.Command(filepath.Join(a.bin, "skepd"), "run", "--private", "--socket", a.socket(),
		"--data-dir", filepath.Join(a.dir, "data"), "--ready-fd", "3")
	c.Stdout, c.Stderr, c.ExtraFiles = &log, &log, []*os.File{readyEnd}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = c.Start()
	readyEnd.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stop the agent: %v", err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("the agent ended: %v\n%s", err, log.String())
		}
	})
	if err := ready.SetReadDeadline(time.Now().Add(stepTimeout)); err != nil {
		t.Fatal(err)
	}
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("the agent does not start: %v\n%s", err, log.String())
	}
}

func (a agent) socket() string { return filepath.Join(a.dir, "skep.sock") }

func (a agent) run(t *testing.T, name string, b block) {
	dir := t.TempDir()
	for _, s := range b.steps {
		// What the agent is asked right after it happened it may not have read yet.
		for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			out, err := a.step(t.Context(), dir, s)
			if err != nil {
				t.Fatalf("%s:%d: $ %s\n%v\n%s", name, s.line, s.command, err, out)
			}
			missing := mismatch(s.want, out)
			if missing == "" {
				break
			}
			if !strings.Contains(s.command, "skep ") || time.Now().After(end) {
				t.Errorf("%s:%d: $ %s\nis said to print %q, and printed:\n%s", name, s.line, s.command, missing, out)
				break
			}
		}
	}
}

// step runs one command; one that the document interrupts gets its Ctrl-C, and may
// say with its exit status that it was.
func (a agent) step(ctx context.Context, dir string, s step) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", s.command)
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+a.bin+":"+os.Getenv("PATH"), "SKEP_SOCKET="+a.socket(), "HOME="+dir, "NO_COLOR=1")
	c.WaitDelay = time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		return "", err
	}
	if s.interrupted {
		timer := time.AfterFunc(interruptAfter, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGINT) }) // it may have ended
		defer timer.Stop()
	}
	err := c.Wait()
	if ctx.Err() != nil {
		return out.String(), fmt.Errorf("no end after %v; does it want a line ^C?", stepTimeout)
	}
	if state := c.ProcessState.Sys().(syscall.WaitStatus); s.interrupted && (state.Signal() == syscall.SIGINT || state.ExitStatus() == 130) {
		err = nil
	}
	return out.String(), err
}
