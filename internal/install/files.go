// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skep-io/skep/internal/durable"
)

// file is laid whole or not at all, also over a program that runs.
type file struct {
	path, source string // its content is that of source or, without one, text
	text         []byte
	mode         fs.FileMode
	keep         bool // as it is, if it is there

	made bool
}

func (f *file) String() string {
	if f.keep {
		return "write " + f.path + ", unless it is there"
	}
	return "write " + f.path
}

func (f *file) do() error {
	_, err := os.Lstat(f.path)
	if f.keep && err == nil {
		return nil
	}
	f.made = errors.Is(err, fs.ErrNotExist)
	in := io.Reader(bytes.NewReader(f.text))
	if f.source != "" {
		source, err := os.Open(f.source)
		if err != nil {
			return fmt.Errorf("read %s: %w; skep and skepd must lie beside each other", filepath.Base(f.source), err)
		}
		defer source.Close()
		if sameFile(source, f.path) {
			f.made = false
			return nil // installed from its own place
		}
		in = source
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	if err := durable.WriteWhole(f.path, f.mode, in); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return nil
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func (f *file) undo() error {
	if !f.made {
		return nil
	}
	return os.Remove(f.path)
}

// removal of a file; one that is gone already is no failure.
type removal struct{ path string }

func (r *removal) String() string { return "remove " + r.path }

func (r *removal) do() error {
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

func (r *removal) undo() error { return nil }

// purge removes a directory with all that is in it, if the mark shows that it is skep's.
type purge struct{ dir, mark string }

func (p *purge) String() string { return "remove " + p.dir + " and all that is in it" }

func (p *purge) do() error {
	if _, err := os.Stat(p.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(p.dir, p.mark)); err != nil {
		return fmt.Errorf("remove %s: there is no %s in it, so it may not be skep's; remove it by hand", p.dir, p.mark)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove %s: %w", p.dir, err)
	}
	return nil
}

func (p *purge) undo() error { return nil }

// left is what stays, and is said.
type left struct{ key, path string }

func (l *left) String() string {
	return "leave " + l.path + " (" + l.key + " of skep.yaml): remove it by hand if nobody needs it"
}

func (l *left) do() error   { return nil }
func (l *left) undo() error { return nil }
