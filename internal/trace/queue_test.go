// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt/render"
)

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
