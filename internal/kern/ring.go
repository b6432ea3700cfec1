// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring reads a BPF ring buffer in place. Unlike a blocking reader it can be read
// up to a position that was noted before, which [Reader] needs to keep the order
// between two rings.
//
// Layout (Documentation/bpf/ringbuf.rst): one page with the consumer's position,
// one with the producer's, then the data twice in a row so that no record is split.
// A record has a header of 8 bytes, its length first, whose top bits say "still
// being written" and "discarded".
type ring struct {
	fd       int
	consumer *atomic.Uint64
	producer *atomic.Uint64
	data     []byte
	mask     uint64
	mapped   [2][]byte
}

const (
	ringHeader  = 8
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
)

func openRing(m *ebpf.Map) (*ring, error) {
	if m.Type() != ebpf.RingBuf {
		return nil, fmt.Errorf("open ring: map is a %s", m.Type())
	}
	page, size := os.Getpagesize(), int(m.MaxEntries())
	consumer, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring's consumer page: %w", err)
	}
	producer, err := unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		unix.Munmap(consumer)
		return nil, fmt.Errorf("map ring's data: %w", err)
	}
	return &ring{
		fd:       m.FD(),
		consumer: (*atomic.Uint64)(unsafe.Pointer(&consumer[0])),
		producer: (*atomic.Uint64)(unsafe.Pointer(&producer[0])),
		data:     producer[page:],
		mask:     uint64(size) - 1,
		mapped:   [2][]byte{consumer, producer},
	}, nil
}

func (r *ring) close() {
	for _, m := range r.mapped {
		unix.Munmap(m)
	}
}

// resident is how many bytes of the process's resident memory are the ring's pages: all of
// them are mapped at once, the data twice.
func (r *ring) resident() (bytes uint64) {
	for _, m := range r.mapped {
		bytes += uint64(len(m))
	}
	return bytes
}

// produced is the position up to which records are reserved.
func (r *ring) produced() uint64 { return r.producer.Load() }

// consumed is the position up to which records have been read.
func (r *ring) consumed() uint64 { return r.consumer.Load() }

// drain hands the records before `limit` to fn, whose argument is valid only during
// the call, and frees their room. It returns false if it met one that is still being written.
func (r *ring) drain(limit uint64, fn func([]byte)) bool {
	position := r.consumer.Load()
	for position < limit {
		at := position & r.mask
		header := (*atomic.Uint32)(unsafe.Pointer(&r.data[at])).Load()
		if header&ringBusy != 0 {
			return false
		}
		length := uint64(header &^ (ringBusy | ringDiscard))
		next := position + (length+ringHeader+7)&^7
		if length > r.mask+1-ringHeader || next > limit {
			// Not what the kernel has written: somebody else moved the consumer's position. Beyond
			// the producer's, the kernel would take the ring to be full for ever.
			r.consumer.Store(limit)
			return true
		}
		if header&ringDiscard == 0 {
			fn(r.data[at+ringHeader : at+ringHeader+length])
		}
		position = next
		r.consumer.Store(position)
	}
	return true
}
