// SPDX-License-Identifier: Apache-2.0

package store

import (
	"container/heap"
	"errors"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Records lie in a log as they came, which is not quite the order of time: the rings of
// the kernel are emptied one after the other. A reader holds back as many as this, and
// none that is older than the newest by more than reorderSpan.
const (
	reorderRecords = 4096
	reorderSpan    = int64(2 * time.Second)
)

// logSource reads the records of a log that match, by time.
type logSource struct {
	query  *query
	frames *frameReader
	in     entries
	failed error
	held   recordHeap
	newest int64
	wire   []byte
	// hopeless says of the shared pieces of this epoch whether no record that has them
	// can match.
	hopeless map[*byte]bool
}

// openLogSource reads the first size bytes of a log.
func openLogSource(f *os.File, size int64, q *query) (*logSource, error) {
	frames, err := newFrameReader(io.NewSectionReader(f, 0, size))
	return &logSource{query: q, frames: frames}, err
}

func (s *logSource) next() (*skepv1.Record, error) {
	for s.failed == nil && (len(s.held) == 0 || len(s.held) < reorderRecords && s.newest-timeOf(s.held[0]) < reorderSpan) {
		s.failed = s.fill()
	}
	if len(s.held) > 0 {
		return heap.Pop(&s.held).(*skepv1.Record), nil
	}
	return nil, s.failed
}

// fill reads a frame.
func (s *logSource) fill() error {
	payload, first, err := s.frames.next()
	if err != nil {
		return err
	}
	if first || s.hopeless == nil {
		s.hopeless = map[*byte]bool{}
	}
	_, err = s.in.read(payload, first, s.take)
	if errors.Is(err, errEntry) {
		return nil // counted when the log was scanned
	}
	return err
}

func (s *logSource) take(r stored) error {
	for _, piece := range r.pieces[:r.n-1] {
		if len(piece) > 0 && s.without(piece) {
			return nil
		}
	}
	if h, err := r.head(); err != nil || !s.query.span.has(h.time) || !s.query.possible(&r, h) {
		return nil
	}
	s.wire = r.wire(s.wire[:0])
	record := &skepv1.Record{}
	if proto.Unmarshal(s.wire, record) != nil || !s.query.match(record) {
		return nil
	}
	s.newest = max(s.newest, timeOf(record))
	heap.Push(&s.held, record)
	return nil
}

// without says whether records with a shared piece can be left out.
func (s *logSource) without(piece []byte) bool {
	out, known := s.hopeless[&piece[0]]
	if !known && s.query.lacks(piece) {
		s.hopeless[&piece[0]], known, out = true, true, true
	}
	if !known {
		r := &skepv1.Record{}
		out = proto.Unmarshal(piece, r) == nil && s.query.excludes(r)
		s.hopeless[&piece[0]] = out
	}
	return out
}

// close leaves the file to the Past that opened it.
func (s *logSource) close() {}

func timeOf(r *skepv1.Record) int64 {
	return r.GetTime().GetSeconds()*1e9 + int64(r.GetTime().GetNanos())
}

// recordHeap has the oldest record first.
type recordHeap []*skepv1.Record

func (h recordHeap) Len() int           { return len(h) }
func (h recordHeap) Less(i, j int) bool { return older(h[i], h[j]) }
func (h recordHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *recordHeap) Push(r any) { *h = append(*h, r.(*skepv1.Record)) }

// Pop implements heap.Interface.
func (h *recordHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// older orders records by time; of one kind and time by number.
func older(a, b *skepv1.Record) bool {
	if at, bt := timeOf(a), timeOf(b); at != bt {
		return at < bt
	}
	return a.GetKind() == b.GetKind() && a.GetSeq() < b.GetSeq()
}
