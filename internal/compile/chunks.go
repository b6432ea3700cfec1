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

// alignment is which accesses are as good as aligned through a pointer, as the power of two
// up to 8 that its address would be a multiple of. Of the frame the verifier wants aligned
// accesses on every machine. Values of maps, records and packets may be accessed anyhow on
// amd64 and arm64, which are what skep runs on (the kernel calls that
// CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS). A context begins aligned, and each of its fields
// is. Of a kernel object the verifier follows accesses field by field: nothing is known.
func alignment(p *Value) int {
	switch p.Type {
	case Stack:
		return addressAlignment(p)
	case Context:
		if p.Op == Add {
			return min(8, addressAlignment(p.Args[1]))
		}
		return 8
	case MapValue, Memory, Packet:
		return 8
	}
	return 1
}

// addressAlignment is the power of two, up to 8, that is known to divide a number or an
// address in the frame.
func addressAlignment(v *Value) int {
	switch v.Op {
	case Slot:
		return 8
	case Const:
		return alignOf(v.Imm)
	case Add, Sub:
		return min(addressAlignment(v.Args[0]), addressAlignment(v.Args[1]))
	case Mul:
		return min(8, addressAlignment(v.Args[0])*addressAlignment(v.Args[1]))
	case Shl:
		if n := v.Args[1]; n.Op == Const {
			return min(8, addressAlignment(v.Args[0])<<min(3, uint64(n.Imm)&63))
		}
	}
	return 1
}
