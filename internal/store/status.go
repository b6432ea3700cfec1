// SPDX-License-Identifier: Apache-2.0

package store

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Status says how the store is.
func (s *Store) Status() *skepv1.StoreStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &skepv1.StoreStatus{
		Directory: s.opts.Dir, MaxBytes: uint64(s.opts.MaxBytes), MaxAge: durationpb.New(s.opts.MaxAge),
		DamagedSegments: uint32(len(s.damaged)), DamagedBytes: s.damage.Bytes, DamagedRecords: s.damage.Records,
	}
	all := nothing
	for _, p := range s.periods {
		st.Bytes += uint64(s.bytesOf(p))
		st.Segments += uint32(len(p.segments))
		if p.log {
			st.Logs++
		}
		if s.active(p) {
			all = all.union(s.log.span)
		} else {
			all = all.union(p.span)
		}
	}
	if all != nothing {
		st.Oldest = timestamppb.New(time.Unix(0, all.from))
	}
	if s.failing != nil {
		st.Failing = s.failing.Error()
	}
	return st
}
