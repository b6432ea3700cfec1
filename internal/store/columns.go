// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"
)

// columnReader reads the values of chosen rows of one column, going forward. Pages in
// which no row is wanted are not read.
type columnReader struct {
	chunk      parquet.ColumnChunk
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

var errShort = errors.New("a column is shorter than the others")

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
		c.begin = row
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

func (c *columnReader) page(row int64) error {
	if row != c.end {
		if err := c.pages.SeekToRow(row); err != nil {
			return err
		}
	}
	page, err := c.pages.ReadPage()
	if errors.Is(err, io.EOF) {
		return errShort
	}
	if err != nil {
		return err
	}
	c.held = append(c.held, page)
	c.values, c.have = page.Values(), nil
	c.row, c.end = row, row+page.NumRows()
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
