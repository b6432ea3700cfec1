// SPDX-License-Identifier: Apache-2.0

package store

import (
	"os"
	"path/filepath"

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

// lastInSegments looks at the newest segment of a kind.
func (s *Store) lastInSegments(kind string) (uint64, bool) {
	for i := len(s.periods) - 1; i >= 0; i-- {
		for _, segment := range s.periods[i].segments {
			if segment.kind == kind {
				return lastSeq(filepath.Join(s.opts.Dir, segment.name), s.opts.BootID)
			}
		}
	}
	return 0, false
}

// lastSeq reads it from the statistics of a segment all of whose records are of a boot.
func lastSeq(path, boot string) (last uint64, ok bool) {
	defer func() {
		if recover() != nil { // it is damaged; whoever reads it will say so
			ok = false
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true))
	if err != nil || len(file.RowGroups()) != 1 {
		return 0, false
	}
	bounds := func(name string) (low, high parquet.Value, ok bool) {
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
	first, final, ok := bounds(bootColumn)
	if !ok || first.String() != boot || final.String() != boot {
		return 0, false
	}
	_, high, ok := bounds("seq")
	return high.Uint64(), ok
}
