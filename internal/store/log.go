// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// frameBytes is about how large a frame gets before it is written.
const frameBytes = 64 << 10

// log is the write-ahead log that is being written.
type log struct {
	id      uint64
	file    *os.File
	size    int64
	opened  time.Time
	span    span
	encoder *encoder
	// What is in the frame that is being made, and what is written and not yet durable.
	framed, unsynced event.Counts
	dirty            bool
}

// openLog goes on with a period's log, or begins one if whole is 0: then it must not be
// there. Whatever lies behind its first `whole` bytes is cut off.
func openLog(dir string, id uint64, whole int64, seen span) (*log, error) {
	flags := os.O_RDWR | unix.O_CLOEXEC
	if whole == 0 {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(filepath.Join(dir, logName(id)), flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &log{id: id, file: f, size: whole, opened: time.Now(), span: seen, encoder: newEncoder(randomSalt())}
	if err := l.begin(dir); err != nil {
		f.Close()
		if whole == 0 {
			os.Remove(f.Name()) // or it would be in the way of the next attempt
		}
		return nil, fmt.Errorf("begin log: %w", err)
	}
	return l, nil
}

// randomSalt cannot fail: crypto/rand ends the program rather than give no randomness.
func randomSalt() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

func (l *log) begin(dir string) error {
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if l.size > 0 {
		header := make([]byte, fileHeader)
		if _, err := l.file.ReadAt(header, 0); err != nil {
			return err
		}
		var err error
		l.encoder.salt, err = saltOf(header)
		return err
	}
	n, err := l.file.WriteAt(newFileHeader(l.encoder.salt), 0)
	l.size = int64(n)
	if err != nil {
		return err
	}
	// First the file: a name without what makes it a log would be of no use after a crash.
	return errors.Join(l.file.Sync(), syncDir(dir))
}

// add puts a record into the frame, and the frame into the file when it is large enough.
// An error is about the record alone, unless it is a *writeError.
func (l *log) add(k event.Kind, r *skepv1.Record) error {
	if err := l.addHidden(r); err != nil {
		return err
	}
	if int(k) < event.NumKinds {
		l.framed[k]++
	}
	if len(l.encoder.buf) >= frameBytes {
		return l.flush()
	}
	return nil
}

// addHidden is add of a record whose loss is not counted.
func (l *log) addHidden(r *skepv1.Record) error {
	if err := l.encoder.add(r); err != nil {
		return err
	}
	l.span.add(r.GetTime().GetSeconds()*1e9 + int64(r.GetTime().GetNanos()))
	return nil
}

// writeError says that the log could not be written, and what is lost by that.
type writeError struct {
	err  error
	lost event.Counts
}

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// flush writes the frame. If it cannot, the frame's records are lost, and the file is as
// it was before, or has a torn end that readers pass over.
func (l *log) flush() error {
	if l.encoder.records == 0 {
		return nil
	}
	frame := l.encoder.frame()
	_, err := l.file.WriteAt(frame, l.size)
	if err != nil {
		lost := l.framed
		l.framed = event.Counts{}
		l.encoder.reset()
		l.encoder.restart()
		_ = l.file.Truncate(l.size) // the next write goes there anyway
		return &writeError{fmt.Errorf("write log: %w", err), lost}
	}
	l.size += int64(len(frame))
	for k, n := range l.framed {
		l.unsynced[k] += n
	}
	l.framed, l.dirty = event.Counts{}, true
	l.encoder.reset()
	return nil
}

// close gives the file back; what it holds is as durable as it was.
func (l *log) close() error { return l.file.Close() }
