// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
)

// Reader reads a journal from a number on, for one goroutine.
type Reader struct {
	journal *Journal
	next    uint64
	// at is the file that was read last, by the number of its first entry: the number of an
	// inode is another file's at once. offset is how much of it was read.
	at     uint64
	offset int64
}

// Reader begins to read at a number.
func (j *Journal) Reader(from uint64) *Reader { return &Reader{journal: j, next: max(from, 1)} }

// Read calls fn with every entry that came since the last call, and with how many are missing
// in front of each. The body is fn's only during the call. An error of fn ends it, and the
// entry counts as read.
func (r *Reader) Read(fn func(lost uint64, body []byte) error) error {
	files, err := r.open()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := r.file(f, fn); err != nil {
			return err
		}
	}
	return nil
}

// open opens the files, the oldest first, from the one that was read last on.
func (r *Reader) open() ([]*os.File, error) {
	r.journal.mutex.Lock() // no file is renamed now
	defer r.journal.mutex.Unlock()
	var files []*os.File
	for i := filesKept; i >= 0; i-- {
		f, err := openFile(r.journal.name(i), os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, err
		}
		if r.at != 0 && firstOf(f) == r.at {
			for _, older := range files {
				older.Close()
			}
			files = nil
		}
		files = append(files, f)
	}
	return files, nil
}

// firstOf is the number that a file begins with, 0 if it is empty.
func firstOf(f *os.File) uint64 {
	var head [header]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(head[8:])
}

func (r *Reader) file(f *os.File, fn func(lost uint64, body []byte) error) error {
	if first := firstOf(f); first == 0 || first != r.at {
		r.at, r.offset = first, 0
	}
	var err error
	r.offset, err = scan(f, r.offset, func(number uint64, body []byte) error {
		if number < r.next {
			return nil
		}
		lost := number - r.next
		r.next = number + 1
		return fn(lost, body)
	})
	return err
}
