// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestIntoLinkOfAnother: a link that another user has made where root writes leads nowhere.
func TestIntoLinkOfAnother(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "passwd"), link); err != nil {
		t.Fatal(err)
	}
	euid := os.Geteuid()
	if err := mayFollow(link, euid); err != nil {
		t.Errorf("one's own link: %v", err)
	}
	if euid == 0 {
		if err := os.Lchown(link, 4242, 4242); err != nil {
			t.Fatal(err)
		}
	} else {
		euid++
	}
	if err := mayFollow(link, euid); err == nil || !strings.Contains(err.Error(), "it is a link of user") {
		t.Errorf("the link of another: %v", err)
	}
}

// TestIntoStandardOutput: what was appended to before is still there.
func TestIntoStandardOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "all")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func(was *os.File) { os.Stdout = was }(os.Stdout)
	os.Stdout = out
	a := &app{out: out}
	err = a.into(t.Context(), file, func() error { _, err := a.out.Write([]byte("after\n")); return err })
	if text, _ := os.ReadFile(file); err != nil || string(text) != "before\nafter\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestIntoFIFOWithoutReader: the command can be interrupted.
func TestIntoFIFOWithoutReader(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &app{}
	if err := a.into(ctx, fifo, func() error { t.Error("it is written to"); return nil }); err == nil || !strings.Contains(err.Error(), "wait for a reader of") {
		t.Errorf("%v", err)
	}
	if reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil { // lets the open end
		reader.Close()
	}
}
