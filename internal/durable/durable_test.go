// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWriteWhole: a content that ends half-way leaves what was there, and nothing beside it.
func TestWriteWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteWhole(path, 0o640, strings.NewReader("one")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := WriteWhole(path, 0o600, io.MultiReader(strings.NewReader("two"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	info, err := os.Stat(path)
	entries, _ := os.ReadDir(filepath.Dir(path))
	if err != nil || info.Mode() != 0o640 || read(t, path) != "one" || len(entries) != 1 {
		t.Errorf("mode %v, content %q, directory %v", info.Mode(), read(t, path), entries)
	}
}

// TestAppend: it goes on where it was, rotates, and follows a file that is moved away.
func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "log")
	a := &Append{Path: path, MaxBytes: 10, Keep: 2}
	write := func(text string) {
		t.Helper()
		if n, err := a.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("%q: %d, %v", text, n, err)
		}
	}
	write("a longer one than ten\n")
	for _, text := range []string{"1\n", "2\n", "three\n", "four\n", "five\n"} {
		write(text)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = &Append{Path: path, MaxBytes: 10, Keep: 2}
	write("6\n")
	if got := read(t, path+".2") + "|" + read(t, path+".1") + "|" + read(t, path); got != "1\n2\nthree\n|four\nfive\n|6\n" {
		t.Errorf("%q", got)
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	write("7\n")
	if got := read(t, path+".moved") + "|" + read(t, path); got != "6\n|7\n" {
		t.Errorf("%q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 4 {
		t.Errorf("%v", names)
	}
}

// notOurs are what can be in a file's place, and what is said of each.
var notOurs = map[string]struct {
	prepare func(path string) error
	want    string
}{
	"another user's": {func(path string) error { return os.Chown(path, 65533, 0) }, "it belongs to uid 65533, not to the agent"},
	"a hard link":    {func(path string) error { return os.Link(path, path+".other") }, "it has 2 names (hard links)"},
	"a link": {func(path string) error {
		return errors.Join(os.Rename(path, path+".other"), os.Symlink(path+".other", path))
	}, "too many levels of symbolic links"},
	"no file": {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, ""},
	"a pipe":  {func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) }, ""},
}

func forNotOurs(t *testing.T, test func(t *testing.T, path, want string)) {
	t.Helper()
	for name, tt := range notOurs {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte("theirs\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := tt.prepare(path); errors.Is(err, unix.EPERM) {
				t.Skipf("needs root: it gives a file away: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			test(t, path, tt.want)
		})
	}
}

// TestAppendRefuses: a file that is another user's, or has another name, is not appended to.
func TestAppendRefuses(t *testing.T) {
	forNotOurs(t, func(t *testing.T, path, want string) {
		a := &Append{Path: path, MaxBytes: 100}
		if _, err := a.Write([]byte("ours\n")); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && read(t, path) != "theirs\n" {
			t.Errorf("it has %q", read(t, path))
		}
	})
}

// TestReadOwn: what nobody else can have written is read, and nothing else is waited for or read.
func TestReadOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := ReadOwn(path, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadOwn(path, 10); err != nil || string(text) != "0123456789" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ReadOwn(path, 9); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOwn(path, 10); err == nil || !strings.Contains(err.Error(), "mode 0640") {
		t.Errorf("of a mode that others can read: %v", err)
	}
	forNotOurs(t, func(t *testing.T, path, want string) {
		if text, err := ReadOwn(path, 100); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v, want it to say %q", text, err, want)
		}
	})
}
