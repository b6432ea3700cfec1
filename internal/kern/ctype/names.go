// SPDX-License-Identifier: Apache-2.0

package ctype

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Names are the names of what BTF describes and programs attach to, sorted. Reading them
// needs no index of the types.
type Names struct {
	Functions   []string
	Tracepoints []string // of typedefs btf_trace_NAME
	Iterators   []string // of functions bpf_iter_NAME

	enumerators []enumerator // by name
}

type enumerator struct {
	name string
	enum uint32 // number of the type
}

// vmlinux is where the kernel shows its own BTF.
const vmlinux = "/sys/kernel/btf/vmlinux"

func readNames() (*Names, error) {
	file, err := os.Open(vmlinux)
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	// Mapped, it takes no memory of this process's own; kernels before 6.16 do not map it.
	raw, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err == nil {
		defer unix.Munmap(raw)
	} else if raw, err = os.ReadFile(vmlinux); err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	names, err := parseNames(raw)
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	return names, nil
}

// Numbers of the BTF format (Documentation/bpf/btf.rst).
const (
	btfMagic      = 0xeb9f
	btfHeaderSize = 24
	btfTypeSize   = 12

	kindInt       = 1
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindTypedef   = 8
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindDeclTag   = 17
	kindEnum64    = 19
)

// behind is how many bytes follow the head of a type: so many, and so many for each of its
// vlen elements.
var behind = map[uint32][2]int{
	kindInt: {4, 0}, kindArray: {12, 0}, kindStruct: {0, 12}, kindUnion: {0, 12}, kindEnum: {0, 8}, kindFuncProto: {0, 8},
	kindVar: {4, 0}, kindDatasec: {0, 12}, kindDeclTag: {4, 0}, kindEnum64: {0, 12},
}

var errBroken = errors.New("it is not as BTF should be")

// parseNames goes once over all types.
func parseNames(raw []byte) (*Names, error) {
	order := binary.NativeEndian
	if len(raw) < btfHeaderSize || order.Uint16(raw) != btfMagic {
		return nil, errBroken
	}
	part := func(at int) []byte {
		begin := uint64(order.Uint32(raw[4:])) + uint64(order.Uint32(raw[at:]))
		end := begin + uint64(order.Uint32(raw[at+4:]))
		if end > uint64(len(raw)) {
			return nil
		}
		return raw[begin:end]
	}
	types, texts := part(8), part(16)
	n := &Names{}
	for id := uint32(1); len(types) >= btfTypeSize; id++ {
		name, info := order.Uint32(types), order.Uint32(types[4:])
		kind, vlen := info>>24&31, int(info&0xffff)
		size := btfTypeSize + behind[kind][0] + vlen*behind[kind][1]
		if size > len(types) {
			return nil, errBroken
		}
		switch kind {
		case kindFunc:
			n.function(text(texts, name))
		case kindTypedef:
			if event, ok := bytes.CutPrefix(text(texts, name), []byte("btf_trace_")); ok {
				n.Tracepoints = append(n.Tracepoints, string(event))
			}
		case kindEnum, kindEnum64:
			for i := range vlen {
				at := btfTypeSize + i*behind[kind][1]
				n.enumerators = append(n.enumerators, enumerator{string(text(texts, order.Uint32(types[at:]))), id})
			}
		}
		types = types[size:]
	}
	n.sort()
	return n, nil
}

func (n *Names) function(name []byte) {
	n.Functions = append(n.Functions, string(name))
	if iterator, ok := bytes.CutPrefix(name, []byte("bpf_iter_")); ok {
		n.Iterators = append(n.Iterators, string(iterator))
	}
}

func (n *Names) sort() {
	for _, list := range []*[]string{&n.Functions, &n.Tracepoints, &n.Iterators} {
		slices.Sort(*list)
		*list = slices.Clip(slices.Compact(*list))
	}
	slices.SortStableFunc(n.enumerators, func(a, b enumerator) int { return strings.Compare(a.name, b.name) })
}

func text(texts []byte, at uint32) []byte {
	if uint64(at) >= uint64(len(texts)) {
		return nil
	}
	rest := texts[at:]
	if end := bytes.IndexByte(rest, 0); end >= 0 {
		return rest[:end]
	}
	return nil
}

func (n *Names) enumerator(name string) (enum uint32, ok bool) {
	i := sort.Search(len(n.enumerators), func(i int) bool { return n.enumerators[i].name >= name })
	if i == len(n.enumerators) || n.enumerators[i].name != name {
		return 0, false
	}
	return n.enumerators[i].enum, true
}
