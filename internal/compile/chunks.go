// SPDX-License-Identifier: Apache-2.0

package compile

import "math/bits"

// chunk is one access of a longer one.
type chunk struct {
	off   int64
	width int
}

// chunks cuts size bytes at an offset into the fewest accesses that are aligned, where the
// address that the offset is from is a multiple of align.
func chunks(off int64, size int, align int) []chunk {
	var out []chunk
	for end := off + int64(size); off < end; {
		width := min(8, align)
		for width > 1 && (off&int64(width-1) != 0 || off+int64(width) > end) {
			width /= 2
		}
		out = append(out, chunk{off, width})
		off += int64(width)
	}
	return out
}

// alignOf is the largest power of two, at most 8, that divides a number.
func alignOf(n int64) int { return 1 << bits.TrailingZeros64(uint64(n)|8) }

// alignment is what is known to divide the address that a pointer holds, at most 8. Slots,
// values of maps and records of rings begin at multiples of 8; of other pointers (packets,
// kernel objects) nothing is known, but that field offsets in them are aligned as in C.
func alignment(p *Value) int {
	switch p.Op {
	case Slot, Call:
		return 8
	case ValueOf:
		return alignOf(p.Imm)
	case NonNull:
		return alignment(p.Args[0])
	case Add, Sub:
		return min(alignment(p.Args[0]), alignment(p.Args[1]))
	case Const:
		return alignOf(p.Imm)
	case Mul:
		return min(8, alignment(p.Args[0])*alignment(p.Args[1]))
	case Shl:
		if n := p.Args[1]; n.Op == Const {
			return min(8, alignment(p.Args[0])<<min(3, uint64(n.Imm)&63))
		}
	case Phi, Parameter, LoadPtr:
		switch p.Type {
		case MapValue, Memory, NullableMapValue, NullableMemory:
			return 1 // may point into the middle
		}
	}
	return 1
}
