// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// bounded reads so many bytes, and no more: what a file says of the size of its tables may be
// true of a file of terabytes that has no blocks on the disk.
type bounded struct {
	from io.ReaderAt
	left int64
	over bool
}

const (
	// mostHeaders is what section headers and their names take: some 60,000 of them.
	mostHeaders = 8 << 20
	// mostRead is what tables of symbols and notes take.
	mostRead = 256 << 20
	// maxSymbols is how many symbols a table has.
	maxSymbols = 2 << 20
	// longestName is how long a name is: tables that are made to do harm let every symbol
	// begin at the start of the same megabytes.
	longestName = 16 << 10
)

func (b *bounded) ReadAt(p []byte, at int64) (int, error) {
	if int64(len(p)) > b.left {
		b.over = true
		return 0, errTooLarge
	}
	b.left -= int64(len(p))
	return b.from.ReadAt(p, at)
}

// errTooLarge is told of a file whose tables are larger than any program's.
var errTooLarge = errors.New("its tables are larger than those of any real program")

func (b *bounded) explain(err error) error {
	if b.over && err != nil { // debug/elf hides what it got
		return errTooLarge
	}
	return err
}

// readTable reads one table of symbols (System V ABI, chapter 4). It is not left to debug/elf,
// which copies a name for each symbol, however long it is.
func (f *File) readTable(in *elf.File, table *elf.Section) error {
	size := map[elf.Class]int{elf.ELFCLASS64: elf.Sym64Size, elf.ELFCLASS32: elf.Sym32Size}[in.Class]
	if table.Size/uint64(size) > maxSymbols {
		return fmt.Errorf("section %s says it has %d symbols, more than %d: %w", table.Name, table.Size/uint64(size), maxSymbols, errTooLarge)
	}
	if int(table.Link) >= len(in.Sections) {
		return fmt.Errorf("section %s has its names in section %d, and there are %d", table.Name, table.Link, len(in.Sections))
	}
	entries, err := plain(table)
	if err != nil {
		return err
	}
	bytes, err := plain(in.Sections[table.Link])
	if err != nil {
		return err
	}
	names := string(bytes)
	f.names += len(names)
	for ; len(entries) >= size; entries = entries[size:] {
		if s, ok := parseSymbol(in, entries, names); ok {
			f.symbols = append(f.symbols, s)
		}
	}
	return nil
}

// plain is what a section consists of. One that is compressed no loader could read, and it
// may become a thousand times as large.
func plain(s *elf.Section) ([]byte, error) {
	if s.Flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf("section %s is compressed", s.Name)
	}
	if s.Type == elf.SHT_NOBITS { // of a file with debugging information only
		return nil, nil
	}
	data, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("read section %s: %w", s.Name, err)
	}
	return data, nil
}

// parseSymbol reads an entry of a table, if it is one to keep.
func parseSymbol(in *elf.File, entry []byte, names string) (s Symbol, ok bool) {
	order := in.ByteOrder
	name, info, section := order.Uint32(entry), entry[4], elf.SectionIndex(order.Uint16(entry[6:]))
	if in.Class == elf.ELFCLASS32 {
		s.Address, s.Size = uint64(order.Uint32(entry[4:])), uint64(order.Uint32(entry[8:]))
		info, section = entry[12], elf.SectionIndex(order.Uint16(entry[14:]))
	} else {
		s.Address, s.Size = order.Uint64(entry[8:]), order.Uint64(entry[16:])
	}
	kind := elf.ST_TYPE(info)
	s.Function = kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC
	if section == elf.SHN_UNDEF || s.Address == 0 || !s.Function && kind != elf.STT_OBJECT && kind != elf.STT_NOTYPE || uint64(name) >= uint64(len(names)) {
		return s, false
	}
	rest := names[name:]
	end := strings.IndexByte(rest[:min(len(rest), longestName)], 0)
	if end <= 0 {
		return s, false
	}
	s.Name = rest[:end]
	return s, true
}
