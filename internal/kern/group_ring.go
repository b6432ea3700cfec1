// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A group's ring is read more often than the agent's own: somebody looks at it. At first, when
// he waits for a sign that it works, it is read sooner: after 1 ms, and then after twice as long.
const (
	groupFirstTick = time.Millisecond
	groupTick      = 10 * time.Millisecond
	groupIdleTick  = 40 * time.Millisecond
)

// GroupRing reads one ring of a group.
type GroupRing struct {
	ring    *ring
	wakeups *wakeups
	pass    sync.Mutex
}

// Ring opens a ring of the group, which must be closed before it.
func (g *Group) Ring(name string) (*GroupRing, error) {
	m := g.maps[name]
	if m == nil {
		return nil, fmt.Errorf("open ring %s: the group has none of that name", name)
	}
	r, err := openRing(m)
	if err != nil {
		return nil, fmt.Errorf("open ring %s: %w", name, err)
	}
	w, err := watch(r)
	if err != nil {
		r.close()
		return nil, err
	}
	return &GroupRing{ring: r, wakeups: w}, nil
}

// Run hands every record to fn, from one goroutine, until ctx ends. A record is valid only
// during the call. flush is called after each pass, also when nothing came.
func (r *GroupRing) Run(ctx context.Context, fn func(record []byte), flush func()) error {
	defer context.AfterFunc(ctx, r.wakeups.interrupt)()
	tick := groupFirstTick
	for ctx.Err() == nil {
		woken, err := r.wakeups.wait(tick)
		if err != nil {
			return err
		}
		tick = nextTick(tick, r.Pass(fn) || woken)
		flush()
	}
	return nil
}

// nextTick is how long to wait after a pass that has found something, or not.
func nextTick(tick time.Duration, found bool) time.Duration {
	if found {
		return min(2*tick, groupTick)
	}
	return min(2*tick, groupIdleTick)
}

// Pass hands on the records that are there, and tells whether there were any. A pass ends
// even if records come as fast as they are read.
func (r *GroupRing) Pass(fn func(record []byte)) bool {
	r.pass.Lock()
	defer r.pass.Unlock()
	before := r.ring.consumed()
	r.ring.drain(r.ring.produced(), fn)
	return r.ring.consumed() != before
}

// Close frees the mapping.
func (r *GroupRing) Close() error {
	r.pass.Lock()
	defer r.pass.Unlock()
	r.ring.close()
	return r.wakeups.close()
}
