// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"sync"
	"time"
)

// queue stands between a script and its listener. It has room for so many outputs; what
// has none is counted and told, once there is room again. What a script says last has room
// always: an exit, and the maps.
type queue struct {
	mutex   sync.Mutex
	change  *sync.Cond
	waiting []Output
	room    int
	dropped uint64
	closed  bool
	failed  bool
}

func newQueue(room int) *queue {
	q := &queue{room: room}
	q.change = sync.NewCond(&q.mutex)
	return q
}

func (q *queue) put(batch []Output) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for _, o := range batch {
		switch {
		case q.failed:
		case len(q.waiting) >= q.room && !o.Final && o.Kind != Exit && o.Kind != Loss:
			q.dropped++
		default:
			q.waiting = append(q.waiting, o)
		}
	}
	q.change.Signal()
}

// deliver hands on what is put until the queue is closed and empty, or the listener fails.
func (q *queue) deliver(sink Sink) error {
	for {
		batch := q.take()
		if batch == nil {
			return nil
		}
		if err := sink(batch); err != nil {
			q.mutex.Lock()
			q.waiting, q.failed = nil, true
			q.mutex.Unlock()
			return err
		}
	}
}

// take waits for outputs, and returns nil when there will be none.
func (q *queue) take() []Output {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.change.Wait()
	}
	batch := q.waiting
	q.waiting = nil
	if q.dropped > 0 {
		batch = append([]Output{{Kind: Loss, Place: InQueue, Count: q.dropped}}, batch...)
		q.dropped = 0
	}
	return batch
}

func (q *queue) close() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.closed = true
	q.change.Signal()
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

// take is how much was not let through since it was last asked.
func (r *rate) take() uint64 {
	n := r.dropped
	r.dropped = 0
	return n
}
