// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it loads BPF programs")
	}
	if missing, err := lacking(needed); err != nil || len(missing) > 0 {
		t.Skipf("needs capabilities: %s %v", strings.Join(missing, ", "), err)
	}
}

// source is a real ring buffer and the programs that write into it.
type source struct {
	t    *testing.T
	m    *ebpf.Map
	ring *ring
}

func newSource(t *testing.T, bytes uint32) *source {
	t.Helper()
	needRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: bytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	r, err := openRing(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return &source{t, m, r}
}

// The helpers that end a reservation.
var (
	submit  = asm.FnRingbufSubmit
	discard = asm.FnRingbufDiscard
)

// write reserves a record of that size whose first eight bytes are n, and submits or
// discards it. It returns false if there was no room.
func (s *source) write(size int32, n int64, end asm.BuiltinFunc) bool {
	s.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R1, s.m.FD()),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JEq.Imm(asm.R0, 0, "full"),
		asm.LoadImm(asm.R1, n, asm.DWord),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.Mov.Imm(asm.R2, 0),
		end.Call(),
		asm.Mov.Imm(asm.R0, 1),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("full"),
		asm.Return(),
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.Close()
	ret, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		s.t.Fatal(err)
	}
	return ret == 1
}

// drain reads up to now and returns the numbers.
func (s *source) drain(limit uint64, size int) (got []int64, done bool) {
	done = s.ring.drain(limit, func(record []byte) {
		if len(record) != size {
			s.t.Errorf("record of %d bytes, want %d", len(record), size)
		}
		got = append(got, int64(binary.NativeEndian.Uint64(record)))
	})
	return got, done
}

func TestRingWraps(t *testing.T) {
	s := newSource(t, 4096)
	const size = 1000 // four do not fit evenly: records lie across the end
	for n := range int64(50) {
		if !s.write(size, n, submit) {
			t.Fatalf("no room for record %d", n)
		}
		got, done := s.drain(s.ring.produced(), size)
		if len(got) != 1 || got[0] != n || !done {
			t.Fatalf("record %d: got %v, %v", n, got, done)
		}
	}
	if s.ring.consumed() != s.ring.produced() || s.ring.consumed() != 50*1008 {
		t.Errorf("consumed %d of %d", s.ring.consumed(), s.ring.produced())
	}
}

func TestRingFullAndDiscarded(t *testing.T) {
	s := newSource(t, 4096)
	for n := range int64(4) {
		end := submit
		if n%2 == 1 {
			end = discard
		}
		if !s.write(1000, n, end) {
			t.Fatalf("no room for record %d", n)
		}
	}
	if s.write(1000, 4, submit) {
		t.Error("a fifth record fitted")
	}
	if got, done := s.drain(s.ring.produced(), 1000); len(got) != 2 || got[0] != 0 || got[1] != 2 || !done {
		t.Errorf("got %v, %v: want 0 and 2, which were not discarded", got, done)
	}
	if !s.write(1000, 5, submit) {
		t.Error("the room was not given back")
	}
}

// TestRingLimit: what was written after the limit was noted is left for the next time.
func TestRingLimit(t *testing.T) {
	s := newSource(t, 4096)
	s.write(16, 1, submit)
	limit := s.ring.produced()
	s.write(16, 2, submit)
	if got, done := s.drain(limit, 16); len(got) != 1 || got[0] != 1 || !done {
		t.Errorf("up to the limit: %v, %v", got, done)
	}
	if got, _ := s.drain(s.ring.produced(), 16); len(got) != 1 || got[0] != 2 {
		t.Errorf("after it: %v", got)
	}
}

// TestRingBusy: a record that is still being written stops the reader, and is read whole
// later. The state is that of bpf_ringbuf_reserve, on memory of our own: a program cannot
// be stopped between its helpers.
func TestRingBusy(t *testing.T) {
	s := newSource(t, 4096)
	s.write(16, 1, submit)
	s.write(16, 2, submit)
	data := make([]byte, 2*4096)
	copy(data, s.ring.data)
	at := 24
	binary.NativeEndian.PutUint32(data[at:], 16|ringBusy)
	limit := s.ring.produced()
	s.ring.data = data
	if got, done := s.drain(limit, 16); len(got) != 1 || got[0] != 1 || done {
		t.Errorf("before a busy record: %v, %v", got, done)
	}
	binary.NativeEndian.PutUint32(data[at:], 16)
	if got, done := s.drain(limit, 16); len(got) != 1 || got[0] != 2 || !done {
		t.Errorf("when it is written: %v, %v", got, done)
	}
}

// TestRingMoved: a consumer's position that somebody else has set does no harm.
func TestRingMoved(t *testing.T) {
	s := newSource(t, 4096)
	for n := range int64(3) {
		s.write(1000, n, submit)
	}
	s.ring.consumer.Store(8) // into the first record, whose bytes are no header
	s.ring.data = append([]byte{}, s.ring.data...)
	binary.NativeEndian.PutUint32(s.ring.data[8:], 1<<29)
	if got, done := s.drain(s.ring.produced(), 1000); len(got) != 0 || !done {
		t.Errorf("got %v, %v", got, done)
	}
	if s.ring.consumed() != s.ring.produced() {
		t.Errorf("consumed %d of %d", s.ring.consumed(), s.ring.produced())
	}
}

// slowSink is one during whose first telemetry record a process execs.
type slowSink struct {
	critical  *source
	seen      []string
	telemetry int
}

func (s *slowSink) Critical([]byte) {
	s.seen = append(s.seen, fmt.Sprint("critical after ", s.telemetry))
}

func (s *slowSink) Telemetry([]byte) {
	if s.telemetry++; s.telemetry == 1 {
		s.critical.write(16, 2, submit)
	}
}

func (s *slowSink) Flush() { s.seen = append(s.seen, fmt.Sprint("end after ", s.telemetry)) }

// TestPassLooksAtCriticalAgain: telemetry that takes long does not let the critical ring
// fill up, and what is critical is still read first.
func TestPassLooksAtCriticalAgain(t *testing.T) {
	critical, telemetry := newSource(t, 4096), newSource(t, 16384)
	for n := range int64(criticalEvery + 10) {
		telemetry.write(16, n, submit)
	}
	critical.write(16, 1, submit)
	sink := &slowSink{critical: critical}
	r := &Reader{critical: critical.ring, telemetry: telemetry.ring}
	r.Pass(sink)
	want := fmt.Sprintf("[critical after 0 critical after %d end after %d]", criticalEvery, criticalEvery+10)
	if got := fmt.Sprint(sink.seen); got != want {
		t.Errorf("read in the order %s, want %s", got, want)
	}
}

func TestOpenRingRefuses(t *testing.T) {
	needRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := openRing(m); err == nil {
		t.Error("an array was opened as a ring")
	}
}
