// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// Probe is a USDT probe as a note of type 3 of "stapsdt" in the section .note.stapsdt names
// it (systemtap: wiki UserSpaceProbeImplementation). A name may occur at several places.
type Probe struct {
	Provider, Name string
	// Address of the instruction as linked, and of the 2-byte counter that must be raised
	// while anybody looks, 0 if there is none.
	Address, Semaphore uint64
	// Arguments as the note describes them: "8@%rdi -4@$5".
	Arguments string
}

const (
	stapsdtType   = 3
	maxProbes     = 1 << 16
	maxNotesBytes = 16 << 20
)

func readProbes(in *elf.File) ([]Probe, error) {
	section := in.Section(".note.stapsdt")
	if section == nil {
		return nil, nil
	}
	if section.Size > maxNotesBytes {
		return nil, fmt.Errorf("read USDT notes: %d bytes of them are more than %d", section.Size, maxNotesBytes)
	}
	data, err := plain(section)
	if err != nil {
		return nil, fmt.Errorf("read USDT notes: %w", err)
	}
	base := uint64(0)
	if s := in.Section(".stapsdt.base"); s != nil {
		base = s.Addr
	}
	width := 8
	if in.Class == elf.ELFCLASS32 {
		width = 4
	}
	return parseNotes(data, in.ByteOrder, width, base), nil
}

// parseNotes reads a section of notes. Addresses have width bytes. A note says where the
// section .stapsdt.base was when it was made: if prelink has moved that to base, all
// addresses have moved with it. What is broken ends the list.
func parseNotes(data []byte, order binary.ByteOrder, width int, base uint64) []Probe {
	var probes []Probe
	for len(data) >= 12 && len(probes) < maxProbes {
		nameSize, size, kind := order.Uint32(data), order.Uint32(data[4:]), order.Uint32(data[8:])
		data = data[12:]
		nameEnd, end := align4(nameSize), align4(nameSize)+align4(size)
		if end > uint64(len(data)) {
			break
		}
		name, text := data[:nameSize], data[nameEnd:nameEnd+uint64(size)]
		data = data[end:]
		if kind != stapsdtType || string(name) != "stapsdt\x00" {
			continue
		}
		if p, ok := parseNote(text, order, width, base); ok {
			probes = append(probes, p)
		}
	}
	return probes
}

func align4(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }

func parseNote(data []byte, order binary.ByteOrder, width int, base uint64) (p Probe, ok bool) {
	if len(data) < 3*width {
		return p, false
	}
	word := func(i int) uint64 {
		if width == 4 {
			return uint64(order.Uint32(data[4*i:]))
		}
		return order.Uint64(data[8*i:])
	}
	address, noted, semaphore := word(0), word(1), word(2)
	texts := bytes.SplitN(data[3*width:], []byte{0}, 4)
	if len(texts) < 3 {
		return p, false
	}
	moved := uint64(0)
	if base != 0 && noted != 0 {
		moved = base - noted
	}
	p = Probe{Provider: string(texts[0]), Name: string(texts[1]), Address: address + moved, Arguments: string(texts[2])}
	if semaphore != 0 {
		p.Semaphore = semaphore + moved
	}
	return p, p.Provider != "" && p.Name != ""
}
