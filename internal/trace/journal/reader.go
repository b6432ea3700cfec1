// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"io/fs"
	"os"
)

// Reader reads a journal from a number on, for one goroutine.
type Reader struct {
	journal *Journal
	next    uint64
	at      os.FileInfo // the file that was read last, and how much of it
	offset  int64
}

// Reader begins to read at a number.
func (j *Journal) Reader(from uint64) *Reader { return &Reader{journal: j, next: max(from, 1)} }

// Read calls fn with every entry that came since the last call, and with how many are missing
// in front of each. The body is fn's only during the call. An error of fn ends it, and the
// entry counts as read.
func (r *Reader) Read(fn func(lost uint64, body []byte) error) error {
	files, err := r.open()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
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
		if info, err := f.Stat(); err == nil && r.at != nil && os.SameFile(info, r.at) {
			for _, older := range files {
				older.Close()
			}
			files = nil
		}
		files = append(files, f)
	}
	return files, nil
}

func (r *Reader) file(f *os.File, fn func(lost uint64, body []byte) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if r.at == nil || !os.SameFile(info, r.at) {
		r.at, r.offset = info, 0
	}
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
