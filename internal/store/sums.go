// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// The pages of a Parquet file have checksums. What says where they lie has none, nor have
// bloom filters: a flipped bit there would hide records, or a column, and nothing would be
// said. So a segment has a block of sums before its footer, where other readers do not
// look, since they go by offsets. All numbers are little-endian:
//
//	CRC-32C of the bloom filter u32, for each column, 0 where there is none
//	number of columns u32 | length of the page indexes u32 | CRC-32C u32 | sumMagic
//
// The last sum is of the page indexes, which lie before the block, of the block up to
// here, and of the footer, which lies behind it.
const (
	sumMagic  = "skepsum1"
	sumEnd    = 12 + len(sumMagic)
	footerEnd = 8 // its length u32, and Parquet's magic
	// maxFooter and maxIndexes are more than those of any log's segments are.
	maxFooter, maxIndexes, maxColumns = 16 << 20, 64 << 20, 1 << 12
)

var errSums = errors.New("the sum of the footer is wrong")

// addSums puts the block into a Parquet file that is complete.
func addSums(f *os.File) error {
	size, footer, err := readFooter(f)
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true))
	if err != nil {
		return err
	}
	at := size - int64(len(footer))
	begin, block := at, []byte{}
	for _, c := range file.Metadata().RowGroups[0].Columns {
		begin = min(begin, c.ColumnIndexOffset, c.OffsetIndexOffset)
		sum, err := sumOf(f, c.MetaData.BloomFilterOffset, int64(c.MetaData.BloomFilterLength))
		if err != nil {
			return err
		}
		block = binary.LittleEndian.AppendUint32(block, sum)
	}
	indexes := make([]byte, at-begin)
	if _, err := f.ReadAt(indexes, begin); err != nil {
		return err
	}
	block = binary.LittleEndian.AppendUint32(block, uint32(len(block)/4))
	block = binary.LittleEndian.AppendUint32(block, uint32(len(indexes)))
	block = binary.LittleEndian.AppendUint32(block, sumAll(indexes, block, footer))
	_, err = f.WriteAt(append(append(block, sumMagic...), footer...), at)
	return err
}

// readFooter reads the footer with what ends the file.
func readFooter(f *os.File) (size int64, footer []byte, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	size = info.Size()
	end := make([]byte, footerEnd)
	if _, err := f.ReadAt(end, max(0, size-footerEnd)); err != nil {
		return size, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(end)) + footerEnd
	if n > maxFooter || n > size {
		return size, nil, fmt.Errorf("a footer of %d bytes", n)
	}
	footer = make([]byte, n)
	_, err = f.ReadAt(footer, size-n)
	return size, footer, err
}

func sumOf(f io.ReaderAt, offset, length int64) (uint32, error) {
	if offset == 0 {
		return 0, nil
	}
	if length < 0 || length > maxIndexes {
		return 0, fmt.Errorf("a bloom filter of %d bytes", length)
	}
	b := make([]byte, length)
	_, err := f.ReadAt(b, offset)
	return crc32.Checksum(b, castagnoli), err
}

func sumAll(parts ...[]byte) (sum uint32) {
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// checkSums checks the footer and the page indexes, and returns the size of the file and
// the sums of its bloom filters.
func checkSums(f *os.File) (size int64, blooms []uint32, err error) {
	size, footer, err := readFooter(f)
	if err != nil {
		return size, nil, err
	}
	at := size - int64(len(footer)) - int64(sumEnd)
	end := make([]byte, sumEnd)
	if at < 0 {
		return size, nil, errSums
	}
	if _, err := f.ReadAt(end, at); err != nil {
		return size, nil, err
	}
	columns, indexes := int64(binary.LittleEndian.Uint32(end)), int64(binary.LittleEndian.Uint32(end[4:]))
	if string(end[12:]) != sumMagic || columns > maxColumns || indexes > maxIndexes || indexes+4*columns > at {
		return size, nil, errSums
	}
	before := make([]byte, indexes+4*columns)
	if _, err := f.ReadAt(before, at-int64(len(before))); err != nil {
		return size, nil, err
	}
	if sumAll(before, end[:8], footer) != binary.LittleEndian.Uint32(end[8:]) {
		return size, nil, errSums
	}
	for b := before[indexes:]; len(b) > 0; b = b[4:] {
		blooms = append(blooms, binary.LittleEndian.Uint32(b))
	}
	return size, blooms, nil
}
