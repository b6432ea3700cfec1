// SPDX-License-Identifier: Apache-2.0

// Package executable reads what probes and stacks need of ELF files: symbols, where in the
// file an address is, and the USDT probes that its notes name.
package executable

import (
	"cmp"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
)

// File is what was read of an executable or library. It does not change, and holds no
// descriptor.
type File struct {
	Path     string
	Identity Identity
	Machine  elf.Machine
	symbols  []Symbol // by address
	byName   []int32  // numbers of symbols, by name
	names    int      // bytes of the texts that names are parts of
	segments []segment
	probes   []Probe
	// fixed tells of an executable whose addresses are those in memory (no PIE).
	fixed bool
}

// Symbol is a function or an object. Address is as linked.
type Symbol struct {
	Name          string
	Address, Size uint64
	Function      bool
}

// bytes is about what the file takes here.
func (f *File) bytes() int {
	const symbol, probe = 48, 150
	return f.names + symbol*len(f.symbols) + probe*len(f.probes)
}

// segment is a part of the file that is mapped.
type segment struct{ address, offset, fileSize uint64 }

// Open reads a file. The error wraps [os.ErrNotExist] if there is none.
func Open(path string) (*File, error) {
	pinned, id, err := Pin(path)
	if err != nil {
		return nil, err
	}
	defer pinned.Close()
	return openPinned(pinned, path, id)
}

func openPinned(pinned *os.File, path string, id Identity) (*File, error) {
	file, err := reopen(pinned)
	if err != nil {
		return nil, fmt.Errorf("open executable %s: %w", path, err)
	}
	defer file.Close()
	f, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("read executable %s: %w", path, err)
	}
	f.Path, f.Identity = path, id
	return f, nil
}

func read(file io.ReaderAt) (f *File, err error) {
	// debug/elf checks what it reads, but this is a file of anybody's.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("broken ELF file: %v", p)
		}
	}()
	r := &bounded{from: file, left: mostHeaders}
	in, err := elf.NewFile(r)
	if err != nil {
		return nil, r.explain(err)
	}
	r.left = mostRead
	f = &File{Machine: in.Machine, fixed: in.Type == elf.ET_EXEC}
	for _, p := range in.Progs {
		if p.Type == elf.PT_LOAD {
			f.segments = append(f.segments, segment{p.Vaddr, p.Off, p.Filesz})
		}
	}
	if err := f.readSymbols(in); err != nil {
		return nil, r.explain(err)
	}
	f.probes, err = readProbes(in)
	return f, r.explain(err)
}

// readSymbols takes .symtab and .dynsym: a stripped library has the latter only.
func (f *File) readSymbols(in *elf.File) error {
	for _, s := range in.Sections {
		if s.Type != elf.SHT_SYMTAB && s.Type != elf.SHT_DYNSYM {
			continue
		}
		if err := f.readTable(in, s); err != nil {
			return err
		}
	}
	slices.SortFunc(f.symbols, func(a, b Symbol) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Name, b.Name))
	})
	f.symbols = slices.Clip(slices.CompactFunc(f.symbols, func(a, b Symbol) bool { return a.Address == b.Address && a.Name == b.Name }))
	f.byName = make([]int32, len(f.symbols))
	for i := range f.byName {
		f.byName[i] = int32(i)
	}
	slices.SortFunc(f.byName, func(a, b int32) int {
		return cmp.Or(cmp.Compare(f.symbols[a].Name, f.symbols[b].Name), cmp.Compare(a, b))
	})
	return nil
}

// Symbol finds one by its name.
func (f *File) Symbol(name string) (Symbol, bool) {
	i := sort.Search(len(f.byName), func(i int) bool { return f.symbols[f.byName[i]].Name >= name })
	if i == len(f.byName) || f.symbols[f.byName[i]].Name != name {
		return Symbol{}, false
	}
	found := f.symbols[f.byName[i]]
	for ; i < len(f.byName) && f.symbols[f.byName[i]].Name == name; i++ {
		if s := f.symbols[f.byName[i]]; s.Function && !found.Function {
			found = s
		}
	}
	return found, true
}

// Functions lists the functions, by address.
func (f *File) Functions() []Symbol {
	return slices.DeleteFunc(slices.Clone(f.symbols), func(s Symbol) bool { return !s.Function })
}

// At finds the function that an address is in, and how far from its beginning.
func (f *File) At(address uint64) (Symbol, uint64, bool) {
	i := sort.Search(len(f.symbols), func(i int) bool { return f.symbols[i].Address > address })
	for i--; i >= 0; i-- {
		s := f.symbols[i]
		if !s.Function {
			continue
		}
		// One without a size (assembler) reaches to the next.
		return s, address - s.Address, s.Size == 0 || address-s.Address < s.Size
	}
	return Symbol{}, 0, false
}

// Offset says where in the file the byte is that is mapped at an address.
func (f *File) Offset(address uint64) (uint64, bool) {
	for _, s := range f.segments {
		if address >= s.address && address-s.address < s.fileSize {
			return address - s.address + s.offset, true
		}
	}
	return 0, false
}

// Address is the inverse of [File.Offset].
func (f *File) Address(offset uint64) (uint64, bool) {
	for _, s := range f.segments {
		if offset >= s.offset && offset-s.offset < s.fileSize {
			return offset - s.offset + s.address, true
		}
	}
	return 0, false
}

// Probes lists the USDT probes, in the file's order.
func (f *File) Probes() []Probe { return f.probes }
