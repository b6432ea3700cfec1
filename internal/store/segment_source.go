// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// assembleRows is how many rows are put together at once.
const assembleRows = 64

// segmentSource reads the records of a segment that match, by time.
type segmentSource struct {
	query   *query
	name    string
	kind    string
	disk    *os.File
	file    *parquet.File
	total   int64
	group   parquet.RowGroup
	blooms  []uint32 // sums of the bloom filters
	schema  *schema
	wanted  rowSet
	row     int64 // to look at next
	columns []*columnReader
	batches []columnBatch
	make    *assembler
	ready   []*skepv1.Record
}

// damagedError says that a segment could not be read, and how many records it has; 0 if
// that is not known.
type damagedError struct {
	name    string
	records int64
	err     error
}

func (e *damagedError) Error() string { return fmt.Sprintf("segment %s is damaged: %v", e.name, e.err) }

// openSegment finds out which rows may match, which may be none: then it returns nil.
func openSegment(dir string, of segment, q *query) (*segmentSource, error) {
	f, err := os.Open(filepath.Join(dir, of.name))
	if err != nil {
		return nil, err
	}
	s := &segmentSource{query: q, name: of.name, kind: of.kind, disk: f}
	err = s.guard(func() error { return notTheEnd(s.open()) })
	if err == nil && s.wanted != nil {
		return s, nil
	}
	s.close()
	return nil, err
}

// guard makes a damagedError of whatever a damaged file leads to.
func (s *segmentSource) guard(f func() error) error {
	err := caught(f)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &damagedError{s.name, s.total, err}
	}
	return err
}

// caught makes an error of a panic.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func (s *segmentSource) open() error {
	size, blooms, err := checkSums(s.disk)
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(s.disk, size, parquet.SkipPageIndex(true))
	if err != nil {
		return err
	}
	s.file, s.blooms = file, blooms
	s.total = file.NumRows()
	if len(file.RowGroups()) != 1 {
		return fmt.Errorf("%d row groups", len(file.RowGroups()))
	}
	s.group = file.RowGroups()[0]
	if s.schema, err = schemaOf(file, bodiesOf(file)); err != nil {
		return err
	}
	s.make = newAssembler(s.schema)
	return s.choose()
}

// maxRows bounds what a damaged footer can make a reader allocate; a period's log is too
// small for as many.
const maxRows = 1 << 24

// choose finds the rows that may match.
func (s *segmentSource) choose() error {
	n := s.group.NumRows()
	if n > maxRows || n < 1 || n != s.total {
		return fmt.Errorf("%d rows", n)
	}
	clauses := s.query.clausesFor(s.kind)
	for _, c := range clauses {
		if s.excluded(&c) {
			return nil
		}
	}
	wanted := newRowSet(n)
	wanted.fill(n)
	for _, c := range clauses {
		rows := newRowSet(n)
		if err := c.rows(s.group, s.schema, rows); err != nil {
			return err
		}
		wanted.keep(rows)
	}
	if err := s.withinTime(wanted); err != nil {
		return err
	}
	for _, word := range wanted {
		if word != 0 {
			s.wanted = wanted
			return nil
		}
	}
	return nil
}

// excluded says whether the bloom filters of a clause's columns rule out the segment.
func (s *segmentSource) excluded(c *clause) bool {
	if c.exact == nil {
		return false
	}
	for _, path := range c.columns {
		f := s.schema.find(path)
		if f == nil {
			continue
		}
		filter := s.bloom(f.column)
		if filter == nil {
			return false
		}
		for _, value := range c.exact {
			if there, err := filter.Check(parquet.ByteArrayValue([]byte(value))); err != nil || there {
				return false
			}
		}
	}
	return true
}

// bloom is the filter of a column, nil if it has none, or none that can be trusted.
func (s *segmentSource) bloom(column int) parquet.BloomFilter {
	at := s.file.Metadata().RowGroups[0].Columns[column].MetaData
	sum, err := sumOf(s.disk, at.BloomFilterOffset, int64(at.BloomFilterLength))
	if err != nil || column >= len(s.blooms) || sum != s.blooms[column] {
		return nil
	}
	return s.group.ColumnChunks()[column].BloomFilter()
}

// withinTime drops the rows that are not in the query's span.
func (s *segmentSource) withinTime(wanted rowSet) error {
	of, _, ok := parseSegment(s.name)
	if ok && s.query.span.from <= of.span.from && of.span.to <= s.query.span.to {
		return nil
	}
	rows := newRowSet(s.total)
	m := matcher{rows: rows, matches: func(v parquet.Value) bool {
		return s.query.span.from <= v.Int64() && v.Int64() <= s.query.span.to
	}}
	f := s.schema.find("time")
	if f == nil {
		return errors.New("no column time")
	}
	if err := m.chunk(s.group.ColumnChunks()[f.column]); err != nil {
		return err
	}
	wanted.keep(rows)
	return nil
}

// next returns the next record that matches the filter, and io.EOF after the last.
func (s *segmentSource) next() (*skepv1.Record, error) {
	for len(s.ready) == 0 {
		if err := s.guard(s.fill); err != nil {
			return nil, err
		}
	}
	r := s.ready[0]
	s.ready = s.ready[1:]
	return r, nil
}

// fill puts the next rows together.
func (s *segmentSource) fill() error {
	var rows [assembleRows]int64
	n := 0
	for ; n < len(rows) && s.row < s.total; s.row++ {
		if s.wanted.has(s.row) {
			rows[n] = s.row
			n++
		}
	}
	if n == 0 {
		return io.EOF
	}
	if s.columns == nil {
		s.openColumns()
	}
	if err := s.read(rows[:n]); err != nil {
		return err
	}
	s.ready = s.ready[:0]
	for i := range n {
		r, err := s.make.record(s.batches, i)
		if err != nil {
			return err
		}
		if s.query.match(r) {
			s.ready = append(s.ready, r)
		}
	}
	return nil
}

// maxReaders is how many columns of a segment are decoded at once: that is what a query
// takes its time for, most of it for the few columns of ids.
const maxReaders = 4

// read reads the columns of some rows.
func (s *segmentSource) read(rows []int64) error {
	var next atomic.Int64
	var readers sync.WaitGroup
	errs := make([]error, min(maxReaders, runtime.GOMAXPROCS(0)))
	for r := range errs {
		readers.Go(func() {
			errs[r] = caught(func() error {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(s.columns) {
						return nil
					}
					if err := s.readColumn(i, rows); err != nil {
						return err
					}
				}
			})
		})
	}
	readers.Wait()
	return errors.Join(errs...)
}

func (s *segmentSource) readColumn(i int, rows []int64) error {
	s.batches[i].reset()
	if s.columns[i] == nil {
		return nil
	}
	if err := s.columns[i].read(rows, &s.batches[i]); err != nil {
		return fmt.Errorf("column %s: %w", s.schema.leaves[i].name, notTheEnd(err))
	}
	return nil
}

func (s *segmentSource) openColumns() {
	chunks := s.group.ColumnChunks()
	s.columns, s.batches = make([]*columnReader, len(chunks)), make([]columnBatch, len(chunks))
	for i, chunk := range chunks {
		if f := s.schema.leaves[i]; f != nil {
			s.columns[i] = &columnReader{chunk: chunk, rows: s.total, repeated: f.repetition > 0, definition: f.definition}
		}
	}
}

func (s *segmentSource) close() {
	for _, c := range s.columns {
		if c != nil {
			c.close()
		}
	}
	s.disk.Close()
}

// notTheEnd keeps the end of a file that is too short from being taken for that of the records.
func notTheEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the file is too short: %v", err)
	}
	return err
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
