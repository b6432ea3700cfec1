// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// FileOptions describe a file of JSON lines. When it has MaxBytes it becomes path.1, that
// path.2, and so on, of which Keep are kept.
type FileOptions struct {
	Path     string
	MaxBytes int64
	Keep     int
}

// NewFile makes a spec that appends to a file. It does no I/O.
func NewFile(o FileOptions, filter *event.Filter) *Spec {
	return &Spec{Type: "file", Target: o.Path, Filter: filter, Linger: 100 * time.Millisecond, receiver: &file{options: o}}
}

// file is opened when it is first written, and again if somebody has moved it away.
type file struct {
	options FileOptions
	open    *os.File
	size    int64
}

// send writes all records at once. A write that fails half-way is taken back, so that no
// line is torn.
func (f *file) send(_ context.Context, records []*skepv1.Record, _ refuse) (int, error) {
	var text []byte
	for _, r := range records {
		text = append(event.AppendJSON(text, r), '\n')
	}
	if err := f.prepare(int64(len(text))); err != nil {
		return 0, fmt.Errorf("open %s: %w", f.options.Path, err)
	}
	n, err := f.open.Write(text)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, f.open.Truncate(f.size))
		}
		return 0, fmt.Errorf("append to the file: %w", err)
	}
	f.size += int64(n)
	return len(records), nil
}

func (f *file) prepare(more int64) error {
	if f.open != nil && f.moved() {
		f.close()
	}
	if f.open == nil {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	if f.size == 0 || f.size+more <= f.options.MaxBytes {
		return nil
	}
	f.close()
	if err := f.rotate(); err != nil {
		return err
	}
	return f.reopen()
}

// moved tells whether the name is another file's by now, or nobody's.
func (f *file) moved() bool {
	ours, err := f.open.Stat()
	if err != nil {
		return true
	}
	named, err := os.Lstat(f.options.Path)
	return err != nil || !os.SameFile(ours, named)
}

// reopen follows no link in the last place: the directory may be another user's.
func (f *file) reopen() error {
	if err := os.MkdirAll(filepath.Dir(f.options.Path), 0o700); err != nil {
		return err
	}
	open, err := os.OpenFile(f.options.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := open.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return errors.Join(err, open.Close())
	}
	f.open, f.size = open, info.Size()
	return nil
}

func (f *file) rotate() error {
	name := func(i int) string {
		if i == 0 {
			return f.options.Path
		}
		return fmt.Sprintf("%s.%d", f.options.Path, i)
	}
	if f.options.Keep == 0 {
		return os.Remove(f.options.Path)
	}
	for i := f.options.Keep; i > 0; i-- {
		if err := os.Rename(name(i-1), name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *file) close() {
	if f.open != nil {
		f.open.Close() // what was written is the kernel's already
		f.open = nil
	}
}
