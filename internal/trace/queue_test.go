// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt/render"
)

// TestLossesAreAddedUp: what a listener that takes nothing is told of losses takes no more room
// with each second, and is all there in the end.
func TestLossesAreAddedUp(t *testing.T) {
	q := newQueue(10, 1<<20)
	probes := []string{"a", "b", "c"}
	for range 1000 {
		for _, probe := range probes {
			q.put([]Output{{Kind: Loss, Probe: probe, Place: InRing, Count: 2}, {Kind: Loss, Probe: probe, Place: Missed, Count: 3}})
		}
	}
	if n := len(q.waiting); n > 10+2*len(probes) {
		t.Errorf("%d outputs wait", n)
	}
	sum := uint64(0)
	for _, o := range q.take() {
		sum += o.Count
	}
	if sum != 1000*5*3 {
		t.Errorf("%d of %d losses are told", sum, 1000*5*3)
	}
}

func largeMap(entries int) *render.Map {
	m := &render.Map{Name: "@"}
	for range entries {
		m.Entries = append(m.Entries, render.Entry{Key: []render.Value{{Kind: render.Text, Text: strings.Repeat("k", 100)}}})
	}
	return m
}

// TestQueueIsBoundedInBytes: few outputs may be much: a map that is printed again and again.
func TestQueueIsBoundedInBytes(t *testing.T) {
	q := newQueue(1000, 1<<20)
	for range 100 {
		q.put([]Output{{Kind: MapDump, Map: largeMap(1000)}})
	}
	if q.weight > 2<<20 || len(q.waiting) > 4 || q.dropped != uint64(100-len(q.waiting)) {
		t.Errorf("%d bytes of %d outputs wait, %d dropped", q.weight, len(q.waiting), q.dropped)
	}
	batch := q.take()
	if batch[0].Place != InQueue || batch[0].Count+uint64(len(batch)-1) != 100 {
		t.Errorf("%+v", batch[0])
	}
}

// TestLastWordsHaveRoom: what ends a script is not among what a slow listener misses.
func TestLastWordsHaveRoom(t *testing.T) {
	q := newQueue(2, 1<<20)
	q.put([]Output{{Kind: Printf}, {Kind: Printf}, {Kind: System}, {Kind: Confirm}, {Kind: Exit}})
	if batch := q.take(); len(batch) != 5 || batch[0].Count != 1 || batch[3].Kind != Confirm || batch[4].Kind != Exit {
		t.Errorf("%+v", batch)
	}
}

// TestLastMapsWait: what a script says last is not dropped, but waits until there is room, or
// nobody listens any more.
func TestLastMapsWait(t *testing.T) {
	q := newQueue(1000, 1<<20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			q.put([]Output{{Kind: MapDump, Map: largeMap(1000), Final: true}})
		}
		q.close()
	}()
	n := 0
	if err := q.deliver(func(batch []Output) error { n += len(batch); return nil }); err != nil || n != 100 {
		t.Errorf("%d of 100 came, %v", n, err)
	}
	<-done

	q = newQueue(1000, 1<<20)
	done = make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			q.put([]Output{{Kind: MapDump, Map: largeMap(1000), Final: true}})
		}
	}()
	if err := q.deliver(func([]Output) error { q.fail(); return errors.New("gone") }); err == nil {
		t.Error("no error")
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it waits for nobody")
	}
}
