// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/skep-io/skep/internal/event"
)

// Gap is a run of numbers that the agents before this one gave to records which did not
// get to the disk.
type Gap struct {
	Kind        string
	First, Last uint64
}

// bootColumn is the column whose bounds tell whether a segment is of one boot.
const bootColumn = "boot_id"

// findGaps compares the last numbers on disk with the last ones that were given. A kind
// of which the disk has nothing of this boot may have been new to it: that is no gap.
func (s *Store) findGaps() {
	for _, k := range event.Kinds() {
		kind := k.String()
		last, ok := s.lastSeq[kind]
		if !ok {
			last, ok = s.lastInSegments(kind)
		}
		last = max(last, s.opts.Begun)
		if numbered := s.opts.Numbered[kind]; ok && last < numbered {
			s.health.addGap(Gap{kind, last + 1, numbered})
		}
	}
}

// lastInSegments looks at the newest segment of a kind that is whole: what a damaged one has
// cannot be read.
func (s *Store) lastInSegments(kind string) (uint64, bool) {
	for _, p := range slices.Backward(s.periods) {
		for _, segment := range p.segments {
			if segment.kind != kind {
				continue
			}
			last, ok, err := lastSeq(filepath.Join(s.opts.Dir, segment.name), s.opts.BootID)
			if err == nil {
				return last, ok
			}
			s.health.noteDamaged(segment.name, &damagedError{name: segment.name, err: err}, s.opts.Logger)
		}
	}
	return 0, false
}

// lastSeq reads it from the statistics of a segment all of whose records are of a boot.
func lastSeq(path, boot string) (last uint64, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	err = caught(func() error {
		size, _, err := checkSums(f)
		if err != nil {
			return notTheEnd(err)
		}
		file, err := parquet.OpenFile(f, size, parquet.SkipBloomFilters(true))
		if err != nil {
			return err
		}
		if n := len(file.RowGroups()); n != 1 {
			return fmt.Errorf("%d row groups", n)
		}
		first, final, known := boundsOf(file, bootColumn)
		if !known || first.String() != boot || final.String() != boot {
			return nil
		}
		var high parquet.Value
		_, high, ok = boundsOf(file, "seq")
		last = high.Uint64()
		return nil
	})
	return last, ok, err
}

// boundsOf are the lowest and the highest value of a column, as the footer has them.
func boundsOf(file *parquet.File, name string) (low, high parquet.Value, ok bool) {
	leaf, ok := file.Schema().Lookup(name)
	if !ok {
		return low, high, false
	}
	chunk, ok := file.RowGroups()[0].ColumnChunks()[leaf.ColumnIndex].(*parquet.FileColumnChunk)
	if !ok {
		return low, high, false
	}
	return chunk.Bounds()
}
