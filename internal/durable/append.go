// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Append is a file that is appended to. When it is full it becomes Path.1, that Path.2, and
// so on. It is opened when it is first written, and again if somebody has moved it away. Its
// methods may be called from any goroutine.
type Append struct {
	Path     string
	MaxBytes int64 // of one file; a single write may exceed it
	Keep     int   // how many full ones stay

	mu   sync.Mutex
	file *os.File
	size int64
}

// Open opens the file, so that one that cannot be had is told early.
func (a *Append) Open() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.prepare(0)
}

// Write appends all of text or, on a failure, nothing. Errors name the file.
func (a *Append) Write(text []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.prepare(int64(len(text))); err != nil {
		return 0, err
	}
	n, err := a.file.Write(text)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, a.file.Truncate(a.size))
		}
		return 0, fmt.Errorf("append: %w", err)
	}
	a.size += int64(n)
	return n, nil
}

// Close closes the file. Another write opens it again.
func (a *Append) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.close()
}

func (a *Append) close() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}

// prepare makes a file ready that has room for so many bytes more.
func (a *Append) prepare(more int64) error {
	if a.file != nil && a.moved() {
		_ = a.close() // what was written is the kernel's already
	}
	if a.file == nil {
		if err := a.open(); err != nil {
			return fmt.Errorf("open %s: %w", a.Path, err)
		}
	}
	if a.size == 0 || a.size+more <= a.MaxBytes {
		return nil
	}
	_ = a.close()
	if err := a.rotate(); err != nil {
		return fmt.Errorf("rotate %s: %w", a.Path, err)
	}
	if err := a.open(); err != nil {
		return fmt.Errorf("open %s: %w", a.Path, err)
	}
	return nil
}

// moved tells whether the name is another file's by now, or nobody's.
func (a *Append) moved() bool {
	ours, err := a.file.Stat()
	if err != nil {
		return true
	}
	named, err := os.Lstat(a.Path)
	return err != nil || !os.SameFile(ours, named)
}

// open follows no link in the last place: the directory may be another user's.
func (a *Append) open() error {
	if err := os.MkdirAll(filepath.Dir(a.Path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(a.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = ours(info)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	a.file, a.size = f, info.Size()
	return nil
}

func (a *Append) rotate() error {
	name := func(i int) string {
		if i == 0 {
			return a.Path
		}
		return fmt.Sprintf("%s.%d", a.Path, i)
	}
	if a.Keep == 0 {
		return os.Remove(a.Path)
	}
	for i := a.Keep; i > 0; i-- {
		if err := os.Rename(name(i-1), name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
