// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"sync"
	"time"

	"github.com/skep-io/skep/internal/bt/render"
)

// queue stands between a script and its listener. It has room for so many outputs, and so
// many bytes of them; what has none is counted and told, once there is room again. What a
// script says last has room always: an exit, the question before it, and the maps, which wait for it.
type queue struct {
	mutex   sync.Mutex
	change  *sync.Cond
	waiting []Output
	weight  int // of what waits, in bytes
	room    int
	most    int // bytes
	dropped uint64
	closed  bool
	failed  bool
}

func newQueue(room, most int) *queue {
	q := &queue{room: room, most: most}
	q.change = sync.NewCond(&q.mutex)
	return q
}

func (q *queue) put(batch []Output) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for i := range batch {
		o := &batch[i]
		for o.Final && q.weight >= q.most && !q.failed {
			q.change.Broadcast()
			q.change.Wait()
		}
		full := len(q.waiting) >= q.room || q.weight >= q.most
		switch {
		case q.failed:
		case full && o.Kind == Loss:
			q.addLoss(o)
		case full && !o.Final && o.Kind < Confirm:
			q.dropped++
		default:
			q.waiting = append(q.waiting, *o)
			q.weight += o.weight()
		}
	}
	q.change.Broadcast()
}

// addLoss counts a loss with one of the same place that waits already, so that what is told to
// nobody does not grow with the time.
func (q *queue) addLoss(o *Output) {
	for i := len(q.waiting) - 1; i >= 0; i-- { // they are behind what filled it
		if w := &q.waiting[i]; w.Kind == Loss && w.Probe == o.Probe && w.Place == o.Place {
			w.Count += o.Count
			return
		}
	}
	q.waiting = append(q.waiting, *o)
	q.weight += o.weight()
}

// deliver hands on what is put until the queue is closed and empty, or the listener fails.
func (q *queue) deliver(sink Sink) error {
	for {
		batch := q.take()
		if batch == nil {
			return nil
		}
		if err := sink(batch); err != nil {
			return err
		}
	}
}

// fail lets go of what waits: nobody takes it any more.
func (q *queue) fail() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.waiting, q.weight, q.failed = nil, 0, true
	q.change.Broadcast()
}

// take waits for outputs, and returns nil when there will be none.
func (q *queue) take() []Output {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.change.Wait()
	}
	batch := q.waiting
	q.waiting, q.weight = nil, 0
	if q.dropped > 0 {
		batch = append([]Output{{Kind: Loss, Place: InQueue, Count: q.dropped}}, batch...)
		q.dropped = 0
	}
	q.change.Broadcast()
	return batch
}

func (q *queue) close() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.closed = true
	q.change.Broadcast()
}

// What an output, a value and an entry of a map take beside their texts, about, in bytes.
const (
	outputBytes = 400
	valueBytes  = 200
)

// weight is about how many bytes an output takes.
func (o *Output) weight() int {
	n := outputBytes + len(o.Text) + weigh(o.Values...) + weigh(o.Value)
	if o.Map != nil {
		for _, e := range o.Map.Entries {
			n += weigh(e.Key...) + weigh(e.Value)
		}
	}
	return n
}

func weigh(values ...render.Value) int {
	n := 0
	for i := range values {
		v := &values[i]
		n += valueBytes + len(v.Text) + weigh(v.Elems...) + 64*len(v.Frames) + 40*len(v.Buckets)
	}
	return n
}

// rate lets so much through in each second, and counts the rest.
type rate struct {
	perSecond int
	second    time.Time
	used      int
	dropped   uint64
}

// allow tells whether something that costs so much may be said now.
func (r *rate) allow(now time.Time, cost int) bool {
	if now.Sub(r.second) >= time.Second {
		r.second, r.used = now, 0
	}
	if r.used >= r.perSecond {
		r.dropped++
		return false
	}
	r.used += cost
	return true
}

// charge is for what turned out to cost more.
func (r *rate) charge(cost int) { r.used += cost }

// take is how much was not let through since it was last asked.
func (r *rate) take() uint64 {
	n := r.dropped
	r.dropped = 0
	return n
}
