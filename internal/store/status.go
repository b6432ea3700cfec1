// SPDX-License-Identifier: Apache-2.0

package store

import (
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// health is what the store says of itself. Its mutex is never held across I/O, unlike the
// store's: the reader of the kernel's rings asks each second, and must not wait for a disk.
type health struct {
	mu      sync.Mutex
	losses  event.Counts
	failing error
	damage  Damage
	damaged map[string]bool // segments
	gaps    []Gap
	figures figures
}

// figures are the extent of what is stored, as it was when the store last came to rest.
type figures struct {
	bytes          int64
	segments, logs int
	span           span
}

func (h *health) lose(counts event.Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, n := range counts {
		h.losses[k] += n
	}
}

// fail notes why nothing is stored, and says whether that is news; nil is that all is well.
func (h *health) fail(err error) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	news = (h.failing == nil) != (err == nil)
	h.failing = err
	return news
}

func (h *health) addDamage(d Damage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.damage.Bytes += d.Bytes
	h.damage.Records += d.Records
}

func (h *health) addGap(g Gap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gaps = append(h.gaps, g)
}

// noteDamaged counts each damaged segment once.
func (h *health) noteDamaged(name string, err error, logger *slog.Logger) {
	h.mu.Lock()
	known := h.damaged[name]
	h.damaged[name] = true
	h.mu.Unlock()
	if !known {
		logger.Error("a segment of the disk log is damaged and is passed over", "error", err)
	}
}

// unlock ends what was done to the periods or the log, and tells of their extent.
func (s *Store) unlock() {
	now := figures{span: nothing}
	for _, p := range s.periods {
		now.bytes += s.bytesOf(p)
		now.segments += len(p.segments)
		if p.log {
			now.logs++
		}
		if s.active(p) {
			now.span = now.span.union(s.log.span)
		} else {
			now.span = now.span.union(p.span)
		}
	}
	s.health.mu.Lock()
	s.health.figures = now
	s.health.mu.Unlock()
	s.mu.Unlock()
}

// Losses are the records that were not stored, by kind. Like Failing, Gaps and Status it
// does not wait for the disk.
func (s *Store) Losses() event.Counts {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.losses
}

// Failing is why nothing is stored at the moment; nil if all is well.
func (s *Store) Failing() error {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.failing
}

// Gaps are those that were found since the last call.
func (s *Store) Gaps() []Gap {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	gaps := s.health.gaps
	s.health.gaps = nil
	return gaps
}

// Status says how the store is.
func (s *Store) Status() *skepv1.StoreStatus {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	st := &skepv1.StoreStatus{
		Directory: s.opts.Dir, MaxBytes: uint64(s.opts.MaxBytes), MaxAge: durationpb.New(s.opts.MaxAge),
		Bytes: uint64(h.figures.bytes), Segments: uint32(h.figures.segments), Logs: uint32(h.figures.logs),
		DamagedSegments: uint32(len(h.damaged)), DamagedBytes: h.damage.Bytes, DamagedRecords: h.damage.Records,
	}
	if h.figures.span != nothing {
		st.Oldest = timestamppb.New(time.Unix(0, h.figures.span.from))
	}
	if h.failing != nil {
		st.Failing = h.failing.Error()
	}
	return st
}
