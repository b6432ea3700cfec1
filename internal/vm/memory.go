// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"encoding/binary"
	"fmt"
)

// The access that a check is for.
const (
	reading = iota
	writing
)

// span checks an access of size bytes at a pointer, and gives the bytes.
func (v Value) span(size int, access int) ([]byte, error) {
	verb := [...]string{"read", "write"}[access]
	switch {
	case v.undefined:
		return nil, fmt.Errorf("%s through a value that was never set", verb)
	case v.Region == nil:
		return nil, fmt.Errorf("%s %d bytes at %#x, which is no pointer", verb, size, v.Number)
	}
	r, at := v.Region, v.offset()
	switch {
	case r.dead != "":
		return nil, fmt.Errorf("%s %d bytes of %s, which is gone: %s", verb, size, r, r.dead)
	case r.Of != nil:
		return nil, fmt.Errorf("%s %d bytes of %s, which is no memory", verb, size, r)
	case size < 0 || at < 0 || at > int64(len(r.Data)) || int64(size) > int64(len(r.Data))-at:
		return nil, fmt.Errorf("%s %d bytes at offset %d of %s, which has %d", verb, size, at, r, len(r.Data))
	case access == writing && r.ReadOnly:
		return nil, fmt.Errorf("write %d bytes at offset %d of %s, which is read-only", size, at, r)
	}
	return r.Data[at : at+int64(size)], nil
}

// Bytes are size bytes at a pointer, to be read: a part of the region, not a copy.
func (v Value) Bytes(size int) ([]byte, error) {
	b, err := v.span(size, reading)
	if err != nil || v.Region.defined == nil {
		return b, err
	}
	at := v.offset()
	for i, defined := range v.Region.defined[at : at+int64(size)] {
		if !defined {
			return nil, fmt.Errorf("read %d bytes at offset %d of %s: the byte at offset %d was never written",
				size, at, v.Region, at+int64(i))
		}
	}
	return b, nil
}

// Write stores bytes at a pointer.
func (v Value) Write(b []byte) error {
	to, err := v.span(len(b), writing)
	if err != nil {
		return err
	}
	copy(to, b)
	v.Region.wrote(v.offset(), len(b))
	return nil
}

// wrote notes that bytes are defined and are no pointers any more.
func (r *Region) wrote(at int64, size int) {
	if r.defined != nil {
		for i := range size {
			r.defined[at+int64(i)] = true
		}
	}
	if r.pointers != nil && size > 0 {
		clear(r.pointers[at/8 : (at+int64(size)+7)/8])
	}
}

// ReadWord reads 1, 2, 4 or 8 bytes at p, zero-extended. From a frame and a context it can be
// a pointer. A number is an address of the host's kernel, if there is one: as with pointers
// that the verifier follows by BTF, what is not there reads as 0.
func (m *Machine) ReadWord(p Value, width int) (Value, error) {
	if p.Region == nil && !p.undefined && m.Host.Kernel != nil {
		var b [8]byte
		if m.Host.Kernel.Read(p.Number, b[:width]) < width {
			clear(b[:])
		}
		return Number(number(b[:])), nil
	}
	b, err := p.Bytes(width)
	if err != nil {
		return Value{}, err
	}
	at := p.offset()
	for _, f := range p.Region.fields {
		if at == int64(f.offset) && width == f.width {
			return f.value, nil
		}
	}
	v := Value{Number: number(b)}
	if r := p.Region; r.pointers != nil && width == 8 && at%8 == 0 {
		v.Region = r.pointers[at/8]
	}
	return v, nil
}

// WriteWord writes the lowest 1, 2, 4 or 8 bytes of v at p.
func (m *Machine) WriteWord(p Value, width int, v Value) error {
	if v.undefined {
		return fmt.Errorf("store a value that was never set")
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v.Number)
	if err := p.Write(b[:width]); err != nil {
		return err
	}
	if r, at := p.Region, p.offset(); r.pointers != nil && width == 8 && at%8 == 0 {
		r.pointers[at/8] = v.Region
	}
	return nil
}

// number is 1, 2, 4 or 8 bytes.
func number(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}
