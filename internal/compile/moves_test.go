// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestSequence runs random parallel moves one after the other and looks whether every
// destination holds what its source held before.
func TestSequence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	place := func() operand {
		if n := r.IntN(9); n < 6 {
			return inReg(asm.Register(n))
		} else {
			return operand{kind: spill, imm: int64(n)}
		}
	}
	key := func(o operand) operand { o.leaf = nil; return o }
	for range 20_000 {
		var moves []move
		taken := map[operand]bool{}
		for range r.IntN(8) {
			m := move{dst: place(), src: place()}
			if r.IntN(6) == 0 {
				m.src = useImm(int64(1000 + r.IntN(5)))
			}
			if !taken[key(m.dst)] && !sameplace(m.dst, m.src) {
				taken[key(m.dst)] = true
				moves = append(moves, m)
			}
		}
		hasFree := r.IntN(2) == 0
		free := func() (asm.Register, bool) { return asm.R9, hasFree }
		scratch := func() operand { return operand{kind: spill, imm: 99} }

		held := map[operand]operand{}
		at := func(o operand) operand {
			if v, ok := held[key(o)]; ok && !o.is(immediate) {
				return v
			}
			return o
		}
		for _, m := range sequence(moves, free, scratch) {
			held[key(m.dst)] = at(m.src)
		}
		for _, m := range moves {
			if got := at(m.dst); !sameplace(got, m.src) {
				t.Fatalf("%v: %v holds %v, want %v", moves, m.dst, got, m.src)
			}
		}
		for o := range held {
			if !taken[o] && o != inReg(asm.R9) && o != scratch() {
				t.Fatalf("%v: %v was overwritten", moves, o)
			}
		}
	}
}

// TestChunks covers every byte once, with aligned accesses.
func TestChunks(t *testing.T) {
	for off := range int64(16) {
		for size := range 40 {
			for _, align := range []int{1, 2, 4, 8} {
				next := off
				for _, c := range chunks(off, size, align) {
					if c.off != next || c.width > align || c.off%int64(c.width) != 0 {
						t.Fatalf("%d bytes at %d, aligned to %d: %v", size, off, align, chunks(off, size, align))
					}
					next += int64(c.width)
				}
				if next != off+int64(size) {
					t.Fatalf("%d bytes at %d: end at %d", size, off, next)
				}
			}
		}
	}
	if n := len(chunks(4, 20, 8)); n != 3 {
		t.Errorf("20 bytes at 4 take %d accesses, want 3", n)
	}
}
