// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

func TestSampleIsUniformAndInOrder(t *testing.T) {
	const rounds, n = 4000, 50
	s := newSampler(100) // ten in a window
	hits := [n]int{}
	for range rounds {
		for i := range uint64(n) {
			s.add(record(event.Exec, i))
		}
		records, out := s.drain()
		if len(records) != 10 || out != n-10 {
			t.Fatalf("%d kept, %d out", len(records), out)
		}
		for i, r := range records {
			hits[r.GetSeq()]++
			if i > 0 && records[i-1].GetSeq() >= r.GetSeq() {
				t.Fatal("out of order")
			}
		}
	}
	// Each is kept with probability 1/5: 800 of 4000, standard deviation 25.
	for i, h := range hits {
		if math.Abs(float64(h)-rounds/5) > 6*25.3 {
			t.Errorf("record %d was kept %d times of %d, want about %d", i, h, rounds, rounds/5)
		}
	}
}

func TestSampleKeepsWhatSkepSaysAboutItself(t *testing.T) {
	s := newSampler(10) // one in a window
	for i := range uint64(100) {
		s.add(record(event.Exec, i))
		if i == 50 {
			s.add(record(event.Loss, 1000))
			s.add(record(event.Agent, 1001))
		}
	}
	records, out := s.drain()
	if len(records) != 3 || out != 99 {
		t.Fatalf("%d kept, %d out", len(records), out)
	}
	if again, out := s.drain(); len(again) != 0 || out != 0 {
		t.Errorf("the next window begins with %d, %d", len(again), out)
	}
}

func TestSamplerWindows(t *testing.T) {
	for rate, want := range map[uint32]sampler{
		1: {quota: 1, window: time.Second}, 3: {quota: 0, window: time.Second / 3}, 10: {quota: 1, window: sampleWindow},
		500: {quota: 50, window: sampleWindow}, math.MaxUint32: {quota: math.MaxUint32 / 10, window: sampleWindow},
	} {
		if rate == 3 {
			want.quota = 1 // rounding must not make it silent
		}
		if got := newSampler(rate); got.quota != want.quota || got.window != want.window {
			t.Errorf("%d/s: %+v, want %+v", rate, *got, want)
		}
	}
}

func TestObserveSampled(t *testing.T) {
	a := startAgent(t)
	s := observe(t, a, &skepv1.ObserveRequest{Follow: true, MaxRate: 200})
	awaitLive(t, s)
	const total = 5000
	start := time.Now()
	go func() {
		for i := uint64(0); i < total; i += 100 {
			a.fill(event.Exec, i, i+100)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	got, out := uint64(0), uint64(0)
	for got+out < total && s.Receive() {
		got += uint64(len(s.Msg().GetRecords()))
		out += s.Msg().GetSampledOut()
	}
	if got+out != total {
		t.Errorf("received %d + sampled out %d != %d: %v", got, out, total, s.Err())
	}
	if most := uint64(time.Since(start).Seconds()*200) + 20; got > most || got < 20 {
		t.Errorf("received %d, at 200/s it is at most %d", got, most)
	}
	a.log.Append(event.Exec, &skepv1.Record{Kind: "exec", Seq: total})
	a.log.Flush()
	if !s.Receive() || len(s.Msg().GetRecords()) != 1 || s.Msg().GetSampledOut() != 0 {
		t.Errorf("one record alone: %v", s.Msg())
	}
}
