// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"io"
	"sort"

	"github.com/parquet-go/parquet-go"
)

// columnReader reads the values of chosen rows of one column, going forward. Pages in
// which no row is wanted are not read.
type columnReader struct {
	chunk      parquet.ColumnChunk
	rows       int64 // of the segment
	index      parquet.OffsetIndex
	repeated   bool
	definition int
	flat       flatPage // of a column that is not repeated
	pages      parquet.Pages
	values     parquet.ValueReader
	row        int64 // of the next value
	begin      int64 // first row of the page
	end        int64 // row behind the page
	buf        [128]parquet.Value
	have       []parquet.Value // read and not taken
	held       []parquet.Page  // whose memory the values of the batch are in
}

// columnBatch holds the values of a batch of rows of one column.
type columnBatch struct {
	values []parquet.Value
	ends   []int // of the rows, in values
}

func (b *columnBatch) reset() { b.values, b.ends = b.values[:0], b.ends[:0] }

// row is the values of row i of the batch.
func (b *columnBatch) row(i int) []parquet.Value {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.values[start:b.ends[i]]
}

var (
	errShort = errors.New("a column is shorter than the others")
	errIndex = errors.New("a page has not the rows that the index of pages says")
)

// read appends the values of the rows, which ascend. They are valid until the next read.
func (c *columnReader) read(rows []int64, to *columnBatch) error {
	for _, p := range c.held[:max(0, len(c.held)-1)] { // the last one is still being read
		parquet.Release(p)
	}
	c.held = c.held[max(0, len(c.held)-1):]
	if c.pages == nil {
		c.pages = c.chunk.Pages()
	}
	for _, row := range rows {
		if !c.repeated {
			if err := c.one(row, to); err != nil {
				return err
			}
			continue
		}
		if err := c.seek(row); err != nil {
			return err
		}
		if err := c.take(to); err != nil {
			return err
		}
		to.ends = append(to.ends, len(to.values))
	}
	return nil
}

// one takes the value of a row of a column that is not repeated.
func (c *columnReader) one(row int64, to *columnBatch) error {
	if row >= c.end {
		if err := c.page(row); err != nil {
			return err
		}
		if !c.flat.open(c.held[len(c.held)-1], c.chunk.Type().Kind(), c.definition) {
			return errShort
		}
	}
	to.values = append(to.values, c.flat.at(int(row-c.begin)))
	to.ends = append(to.ends, len(to.values))
	return nil
}

// seek makes row the next one.
func (c *columnReader) seek(row int64) error {
	for c.row != row || row >= c.end {
		if row >= c.end {
			if err := c.page(row); err != nil {
				return err
			}
			continue
		}
		if err := c.take(nil); err != nil {
			return err
		}
	}
	return nil
}

// page reads the page that holds a row. Where it lies is known from the index of pages:
// without it the reader would go through all pages from the first one for each.
func (c *columnReader) page(row int64) error {
	if c.index == nil {
		index, err := c.chunk.OffsetIndex()
		if err != nil {
			return err
		}
		c.index = index
	}
	i := sort.Search(c.index.NumPages(), func(i int) bool { return c.index.FirstRowIndex(i) > row }) - 1
	if i < 0 {
		return errShort
	}
	first, behind := c.index.FirstRowIndex(i), c.rows
	if i+1 < c.index.NumPages() {
		behind = c.index.FirstRowIndex(i + 1)
	}
	if err := c.pages.SeekToRow(first); err != nil {
		return err
	}
	page, err := c.pages.ReadPage()
	if errors.Is(err, io.EOF) {
		return errShort
	}
	if err != nil {
		return err
	}
	c.held = append(c.held, page)
	if row >= behind || page.NumRows() != behind-first {
		return errIndex
	}
	c.values, c.have = page.Values(), nil
	c.row, c.begin, c.end = first, first, behind
	return nil
}

// take takes a row's values.
func (c *columnReader) take(to *columnBatch) error {
	for first := true; ; first = false {
		if len(c.have) == 0 {
			n, err := c.values.ReadValues(c.buf[:])
			if n == 0 && c.row+1 == c.end && !first {
				break // the end of the page ends its last row
			}
			if n == 0 {
				if err == nil || errors.Is(err, io.EOF) {
					err = errShort
				}
				return err
			}
			c.have = c.buf[:n]
		}
		if !first && c.have[0].RepetitionLevel() == 0 {
			break
		}
		if to != nil {
			to.values = append(to.values, c.have[0])
		}
		c.have = c.have[1:]
		if !c.repeated {
			break
		}
	}
	c.row++
	return nil
}

func (c *columnReader) close() {
	for _, p := range c.held {
		parquet.Release(p)
	}
	if c.pages != nil {
		c.pages.Close()
	}
}
