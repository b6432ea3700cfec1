// SPDX-License-Identifier: Apache-2.0

// Package journal is the log on disk of what a script has said.
//
// Problem: a script that stays installed speaks while nobody listens. What it says has to
// outlive the agent, in room that does not grow, and what is not there any more has to be told.
//
// Mechanism: entries with running numbers, each with its length and a checksum, are appended
// to a file; when that is full it becomes FILE.1, that FILE.2, and the last one goes. A gap in
// the numbers is what was lost: overwritten, not written because the disk was full, torn by a
// crash, or damaged (then it is one number, however many entries it was).
//
//	entry: length of the body (4 bytes), CRC-32C of number and body (4), number (8), body
//
// All numbers are little-endian. Invariants: a torn last entry is taken away when the journal
// is opened; readers may come and go while it is written; nothing of it is kept in memory.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/durable"
)

const (
	header = 16
	// MaxBody is how many bytes an entry has at most.
	MaxBody = 1 << 20
	// A journal takes fileBytes*(filesKept+1) bytes at most.
	fileBytes = 4 << 20
	filesKept = 3
)

// ErrTooLarge is returned for an entry of more than [MaxBody] bytes.
var ErrTooLarge = fmt.Errorf("an entry may have %d bytes", MaxBody)

var table = crc32.MakeTable(crc32.Castagnoli)

// Journal is one that is written. Its methods may be called from any goroutine.
type Journal struct {
	path string

	mutex   sync.Mutex
	file    durable.Append
	next    uint64        // number of the next entry
	changed chan struct{} // closed by the next write
	buffer  []byte
}

// Open opens a journal, or begins one. Its directory must be the agent's own.
func Open(path string) (*Journal, error) { return open(path, fileBytes) }

func open(path string, fileSize int64) (*Journal, error) {
	j := &Journal{path: path, next: 1, changed: make(chan struct{}), file: durable.Append{Path: path, MaxBytes: fileSize, Keep: filesKept}}
	for i := filesKept; i >= 0; i-- {
		if err := j.recover(i); err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
	}
	if err := j.file.Open(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
}

// recover finds the last number of a file, and takes a torn end away.
func (j *Journal) recover(i int) error {
	f, err := openFile(j.name(i), os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	whole, err := scan(f, 0, func(number uint64, _ []byte) error {
		j.next = max(j.next, number+1)
		return nil
	})
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil || info.Size() == whole {
		return err
	}
	j.next++ // what is behind had a number at least, which readers are to miss
	if i > 0 {
		return nil // only the newest was being written
	}
	return f.Truncate(whole)
}

func openFile(path string, flags int) (*os.File, error) {
	return os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func (j *Journal) name(i int) string {
	if i == 0 {
		return j.path
	}
	return fmt.Sprintf("%s.%d", j.path, i)
}

// Write appends entries. Those that cannot be written keep their numbers, which are then
// missing: readers are told. lost is how many they are.
func (j *Journal) Write(bodies ...[]byte) (lost int, err error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.buffer = j.buffer[:0]
	var errs []error
	for _, body := range bodies {
		if len(body) <= MaxBody {
			j.buffer = appendEntry(j.buffer, j.next, body)
		} else {
			errs, lost = append(errs, ErrTooLarge), lost+1
		}
		j.next++
	}
	if _, err := j.file.Write(j.buffer); err != nil {
		errs, lost = append(errs, fmt.Errorf("write journal: %w", err)), len(bodies)
	}
	if cap(j.buffer) > 4*MaxBody {
		j.buffer = nil
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return lost, errors.Join(errs...)
}

func appendEntry(b []byte, number uint64, body []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	at := len(b)
	b = append(binary.LittleEndian.AppendUint64(append(b, 0, 0, 0, 0), number), body...)
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], table))
	return b
}

// scan reads entries from an offset on, and returns where it stopped: behind the last one
// that is whole. A body is valid during the call only.
func scan(r io.ReaderAt, offset int64, fn func(number uint64, body []byte) error) (int64, error) {
	var head [header]byte
	var body []byte
	for {
		if _, err := r.ReadAt(head[:], offset); err != nil {
			return offset, notEnd(err)
		}
		length := binary.LittleEndian.Uint32(head[:])
		if length > MaxBody {
			return offset, nil
		}
		if int(length) > cap(body) {
			body = make([]byte, length)
		}
		body = body[:length]
		if n, err := r.ReadAt(body, offset+header); n < len(body) {
			return offset, notEnd(err)
		}
		sum := crc32.Update(crc32.Checksum(head[8:], table), table, body)
		if sum != binary.LittleEndian.Uint32(head[4:]) {
			return offset, nil
		}
		if err := fn(binary.LittleEndian.Uint64(head[8:]), body); err != nil {
			return offset, err
		}
		offset += header + int64(length)
	}
}

func notEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Next is the number of the entry that will be written next; the first has 1.
func (j *Journal) Next() uint64 {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.next
}

// Changed is closed when more has been written.
func (j *Journal) Changed() <-chan struct{} {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.changed
}

// Bytes is what the files take.
func (j *Journal) Bytes() (sum int64) {
	for i := range filesKept + 1 {
		if info, err := os.Lstat(j.name(i)); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// Close closes the journal, whose files stay.
func (j *Journal) Close() error { return j.file.Close() }

// Remove takes its files away.
func Remove(path string) error {
	j := &Journal{path: path}
	var errs []error
	for i := range filesKept + 1 {
		if err := os.Remove(j.name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
