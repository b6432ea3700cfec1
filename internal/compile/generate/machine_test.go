// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/compile/evaluate"
	"github.com/skep-io/skep/internal/compile/generate"
	"github.com/skep-io/skep/internal/vm"
)

const tableEntries = 4 // fewer than keys, so that it can be full

// state is all that a run leaves.
type state struct {
	r0    uint32 // what the kernel tells of it
	out   []byte
	table map[uint64]string
	ring  []string
	fault error
}

func (s state) equal(t state) bool {
	if (s.fault != nil) != (t.fault != nil) || s.r0 != t.r0 || !bytes.Equal(s.out, t.out) || len(s.table) != len(t.table) || !slices.Equal(s.ring, t.ring) {
		return false
	}
	for key, value := range s.table {
		if t.table[key] != value {
			return false
		}
	}
	return true
}

func (s state) String() string {
	if s.fault != nil {
		return s.fault.Error()
	}
	return fmt.Sprintf("r0 %#x, out %x, table %x, ring %x", s.r0, s.out, s.table, s.ring)
}

// host is what the kernel answers to this thread too.
func host() *vm.Host {
	return &vm.Host{PidTgid: uint64(os.Getpid())<<32 | uint64(unix.Gettid()), UidGid: uint64(os.Getgid())<<32 | uint64(os.Getuid()), Comm: comm()}
}

func comm() string {
	b := make([]byte, 16)
	_ = unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
	return unix.ByteSliceToString(b)
}

func machine() *vm.Machine {
	m, err := vm.New(vm.Options{Host: host(), Maps: []vm.MapSpec{
		{Name: generate.Out, Type: vm.Array, KeySize: 4, ValueSize: generate.OutSize, MaxEntries: 1},
		{Name: generate.Table, Type: vm.Hash, KeySize: 8, ValueSize: generate.TableSize, MaxEntries: tableEntries},
		{Name: generate.Ring, Type: vm.RingBuffer, MaxEntries: generate.RingSize},
	}})
	if err != nil {
		panic(err)
	}
	for key, value := range tableAtFirst() {
		if err := m.Map(generate.Table).Update(binary.LittleEndian.AppendUint64(nil, key), value); err != nil {
			panic(err)
		}
	}
	return m
}

func tableAtFirst() map[uint64][]byte {
	return map[uint64][]byte{1: []byte("0123456789abcdef"), 4: bytes.Repeat([]byte{0xff, 0}, 8)}
}

func left(m *vm.Machine, r0 uint64, err error) state {
	s := state{r0: uint32(r0), out: m.Map(generate.Out).Lookup(make([]byte, 4)), table: map[uint64]string{}, fault: err}
	for _, key := range m.Map(generate.Table).Keys() {
		s.table[binary.LittleEndian.Uint64(key)] = string(m.Map(generate.Table).Lookup(key))
	}
	for _, record := range m.Map(generate.Ring).Records() {
		s.ring = append(s.ring, string(record))
	}
	return s
}

// evaluated runs the representation.
func evaluated(p *compile.Program, context []byte) state {
	m := machine()
	r0, err := evaluate.Run(p, m, context)
	return left(m, r0, err)
}

// interpreted runs compiled code.
func interpreted(code *compile.Code, context []byte) state {
	m := machine()
	p, err := m.Load("entry", code.Instructions)
	if err != nil {
		return state{fault: err}
	}
	r0, err := m.Run(p, context)
	return left(m, r0, err)
}

func contextsOf(seed uint64) [][]byte {
	return [][]byte{contextOf(seed), contextOf(seed + 1<<40), contextOf(seed + 2<<40)}
}

// contextOf is made of numbers where mistakes show.
func contextOf(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 3))
	var b []byte
	for range generate.ContextSize / 8 {
		n := r.Uint64()
		switch r.IntN(4) {
		case 0:
			n = []uint64{0, 1, 1 << 63, 1<<63 - 1, 1<<64 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 0x80, 0x8000, 0xffff_ffff_8000_0000}[r.IntN(11)]
		case 1:
			n %= 100
		}
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}
