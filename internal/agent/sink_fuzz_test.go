// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/flow"
	flowdns "github.com/skep-io/skep/internal/flow/dns"
)

// FuzzSink: whatever a ring holds between the records of a process, nothing panics, what
// cannot be decoded is counted, and what is told of the rest can be sent.
func FuzzSink(f *testing.F) {
	fork, exec, exit := lifecycle(1000, 1)
	for _, raw := range [][]byte{nil, fork, exec, exit, fork[:20], exec[:len(exec)-1], append(exit, 0)} {
		f.Add(raw)
	}
	for typ := range uint16(32) {
		h := abi.EventHeader{Type: typ, Version: 1, BootNS: 5}
		for _, more := range []int{0, 40, 104, 232, 500} {
			f.Add(append(append([]byte{}, bytesOf(&h)...), make([]byte, more)...))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newTestSink()
		names := flowdns.NewNames()
		s.flows = flow.New(flow.Options{MaxOpen: 16, MaxClosed: 16, ClosedFor: time.Minute, Name: names.Of,
			Wall: func(uint64) time.Time { return time.Unix(1_800_000_000, 0) }})
		s.queries = flowdns.New(names, s.publishDNS)
		s.files = newFileWatch(nil, s.logger)
		log := s.recorder.log
		reader := log.Subscribe(event.SubscribeOptions{Kinds: event.AllKinds})
		defer reader.Close()
		for _, own := range [][]byte{fork, exec, exit} {
			s.take(own)
			want := s.malformed.Load()
			if s.record(raw) != nil { // a panic ends the test here, which take would make an error of
				want++
			}
			s.take(raw)
			if got := s.malformed.Load(); got != want {
				t.Errorf("%x: %d are counted as malformed, want %d: %v", raw, got, want, s.malformedBy)
			}
		}
		log.Flush()
		log.Close()
		told := 0
		for buf := make([]*skepv1.Record, 16); ; {
			n, lost, err := reader.Next(t.Context(), buf)
			for _, r := range buf[:n] {
				if _, err := proto.Marshal(r); err != nil {
					t.Errorf("%x: %v cannot be sent: %v", raw, r, err)
				}
			}
			told += n
			if lost != (event.Counts{}) {
				t.Errorf("%x: lost %v", raw, lost)
			}
			if errors.Is(err, io.EOF) {
				break
			}
		}
		if told < 3 {
			t.Errorf("%x: %d records are told, and three were of a process", raw, told)
		}
	})
}
