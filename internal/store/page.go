// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"

	"github.com/parquet-go/parquet-go"
)

// flatPage gives the values of a page of a column that is not repeated by their row, without
// making those between.
type flatPage struct {
	page       parquet.Page
	kind       parquet.Kind
	levels     []byte // of definition; empty where all values are there
	definition byte   // level of a value that is there
	dictionary parquet.Dictionary

	// One of these has the values that are there.
	indexes []int32
	int32s  []int32
	int64s  []int64
	bits    []byte
	text    []byte
	offsets []uint32

	row, rank int // values that are there before row
}

// open tells whether the page can be read so.
func (p *flatPage) open(page parquet.Page, kind parquet.Kind, definition int) bool {
	*p = flatPage{page: page, kind: kind, levels: page.DefinitionLevels(), definition: byte(definition), dictionary: page.Dictionary()}
	there, data := int(page.NumValues()-page.NumNulls()), page.Data()
	switch {
	case len(p.levels) > 0 && len(p.levels) != int(page.NumRows()):
		return false
	case p.dictionary != nil:
		p.indexes = data.Int32()
		return len(p.indexes) >= there
	}
	switch kind {
	case parquet.Int32:
		p.int32s = data.Int32()
		return len(p.int32s) >= there
	case parquet.Int64:
		p.int64s = data.Int64()
		return len(p.int64s) >= there
	case parquet.Boolean:
		p.bits = data.Boolean()
		return len(p.bits)*8 >= there
	case parquet.ByteArray:
		p.text, p.offsets = data.ByteArray()
		return len(p.offsets) > there
	}
	return false
}

// at is the value of a row of the page; rows ascend. Of a value that is not there only the
// level is right.
func (p *flatPage) at(row int) parquet.Value {
	i := row
	if len(p.levels) > 0 {
		p.rank += bytes.Count(p.levels[p.row:row], []byte{p.definition})
		p.row = row
		if p.levels[row] != p.definition {
			return parquet.Value{}.Level(0, int(p.levels[row]), 0)
		}
		i = p.rank
	}
	return p.value(i).Level(0, int(p.definition), 0)
}

// value is the one of a rank among those that are there.
func (p *flatPage) value(i int) parquet.Value {
	switch {
	case p.indexes != nil:
		return p.dictionary.Index(p.indexes[i])
	case p.int32s != nil:
		return parquet.Int32Value(p.int32s[i])
	case p.int64s != nil:
		return parquet.Int64Value(p.int64s[i])
	case p.bits != nil:
		return parquet.BooleanValue(p.bits[i/8]>>(i%8)&1 != 0)
	case p.offsets != nil:
		return parquet.ByteArrayValue(p.text[p.offsets[i]:p.offsets[i+1]])
	}
	return parquet.Value{}
}

// each calls f with the rank and row of each value that is there.
func (p *flatPage) each(f func(rank, row int)) {
	rows := int(p.page.NumRows())
	rank := 0
	for row := range rows {
		if len(p.levels) > 0 && p.levels[row] != p.definition {
			continue
		}
		f(rank, row)
		rank++
	}
}
