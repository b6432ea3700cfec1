// SPDX-License-Identifier: Apache-2.0

package vm

import "bytes"

// Clock is one of the kernel's.
type Clock uint8

// The clocks.
const (
	Monotonic Clock = iota
	Boot
	Coarse
	TAI
	Jiffies
)

// Host is what a program can ask of its surroundings. Zero is a valid host: a machine that
// has just started, with task 0.
type Host struct {
	// Time in nanoseconds (jiffies of Jiffies). Nil counts the calls, a microsecond each.
	Time func(Clock) uint64
	// Random gives the next number. Nil is xorshift32 from a fixed seed.
	Random func() uint32

	PidTgid, UidGid, Cgroup, Task uint64
	// Ancestors are the ids of the cgroup's ancestors by level, the root first.
	Ancestors []uint64
	Comm      string
	CPU       int
	CPUs      int // 0 is 1
	Node      int
	// Kernel and User memory; nil has none.
	Kernel, User AddressSpace
	// Stack has the return addresses, the innermost first. Nil has none.
	Stack func(user bool) []uint64
	// Cookie and FuncIP of what the program is attached to.
	Cookie, FuncIP uint64
	// Signals that were sent, and what was written to the kernel's trace, in order.
	Signals []int
	Trace   [][]byte

	calls  uint64
	random uint32
}

func (h *Host) now(c Clock) uint64 {
	if h.Time != nil {
		return h.Time(c)
	}
	h.calls++
	return h.calls * 1000
}

func (h *Host) next() uint32 {
	if h.Random != nil {
		return h.Random()
	}
	if h.random == 0 {
		h.random = 0x9e3779b9
	}
	h.random ^= h.random << 13
	h.random ^= h.random >> 17
	h.random ^= h.random << 5
	return h.random
}

func (h *Host) cpus() int { return max(h.CPUs, 1) }

// AddressSpace is memory at addresses.
type AddressSpace interface {
	// Read fills p from address on and tells how many bytes there were to read.
	Read(address uint64, p []byte) int
}

// Segments are an address space by the addresses of their first bytes.
type Segments map[uint64][]byte

// Read implements AddressSpace.
func (s Segments) Read(address uint64, p []byte) int {
	for base, data := range s {
		if address >= base && address-base < uint64(len(data)) {
			return copy(p, data[address-base:])
		}
	}
	return 0
}

// fixed is a string in so many bytes, the last of which is 0.
func fixed(s string, size int) []byte {
	b := make([]byte, size)
	if size > 0 {
		copy(b[:size-1], s)
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		clear(b[i:])
	}
	return b
}
