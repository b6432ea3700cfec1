// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
)

// FuzzRing: whatever the memory of a ring holds, a pass ends within the ring, frees no more
// than was produced, and stops at what is still being written.
func FuzzRing(f *testing.F) {
	const size = 256
	record := func(header uint32, payload int) []byte {
		return append(binary.NativeEndian.AppendUint32(nil, header), make([]byte, 4+payload)...)
	}
	f.Add(append(record(8, 8), record(240-8, 240-8)...), uint16(0), uint16(256))
	f.Add(append(record(8|ringDiscard, 8), record(ringBusy|8, 8)...), uint16(0), uint16(32))
	f.Add(record(248, 248), uint16(8), uint16(256))
	f.Add(record(249, 248), uint16(0), uint16(256))
	f.Add(record(100, 100), uint16(0), uint16(16)) // longer than what was produced
	f.Add([]byte{}, uint16(65528), uint16(256))
	f.Fuzz(func(t *testing.T, memory []byte, consumed, produced uint16) {
		data := make([]byte, 2*size) // twice in a row
		copy(data, memory[:min(len(memory), size)])
		copy(data[size:], data[:size])
		var consumer, producer atomic.Uint64
		begin := uint64(consumed) &^ 7
		limit := begin + uint64(produced)%(size+1)&^7
		consumer.Store(begin)
		producer.Store(limit)
		r := &ring{consumer: &consumer, producer: &producer, data: data, mask: size - 1}
		got := uint64(0)
		done := r.drain(r.produced(), func(record []byte) { got += uint64(len(record)) + ringHeader })
		if at := r.consumed(); at > limit || at < begin || got > at-begin || done != (at == limit) {
			t.Errorf("from %d to %d: %d bytes of records, consumed up to %d, done %t", begin, limit, got, at, done)
		}
	})
}
