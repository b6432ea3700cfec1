// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// The audit log takes at most (auditKeep+1) * auditBytes on the disk.
const (
	auditBytes = 16 << 20
	auditKeep  = 4
)

// AuditFile is an append-only file that is renamed to path.1 (and that to
// path.2, and so on) when it is full. Only its owner can read it.
type AuditFile struct {
	path     string
	maxBytes int64

	mu   sync.Mutex
	file *os.File
	size int64
}

// OpenAudit opens the audit log at path for Deps.Audit.
func OpenAudit(path string) (*AuditFile, error) {
	a := &AuditFile{path: path, maxBytes: auditBytes}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return a, nil
}

// Write appends one line.
func (a *AuditFile) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil && a.size+int64(len(line)) > a.maxBytes {
		if err := a.rotate(); err != nil {
			return 0, fmt.Errorf("rotate audit log: %w", err)
		}
	}
	if a.file == nil { // a rotation failed half-way
		if err := a.open(); err != nil {
			return 0, fmt.Errorf("open audit log: %w", err)
		}
	}
	n, err := a.file.Write(line)
	a.size += int64(n)
	return n, err
}

// Close closes the file.
func (a *AuditFile) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}

func (a *AuditFile) open() error {
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	a.file, a.size = f, info.Size()
	return nil
}

func (a *AuditFile) rotate() error {
	err := a.file.Close()
	a.file = nil
	for i := auditKeep; i > 0; i-- {
		from := a.path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", a.path, i-1)
		}
		if e := os.Rename(from, fmt.Sprintf("%s.%d", a.path, i)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, a.open())
}
