// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of an Index. A host has some hundred cgroups; a crowded Kubernetes
// node some ten thousand.
const (
	MaxLive    = 64 << 10         // cgroups that exist
	MaxRemoved = 4 << 10          // cgroups that are gone, kept for late events
	MaxBytes   = 16 << 20         // of all paths together
	maxPath    = 4096             // PATH_MAX
	Grace      = 60 * time.Second // how long a removed cgroup is still found
	scanEvery  = time.Second      // at most one walk in this time on misses
	maxAbsent  = 4 << 10          // ids that were not found, remembered for absentFor
	absentFor  = time.Second
)

// Stats counts what an Index holds and what it could not take.
type Stats struct {
	Live, Removed, Bytes int
	Refused              uint64 // Adds beyond the bounds: such cgroups are asked for on each miss
	Misses               uint64 // Lookups that asked and found nothing anywhere
	Scans                uint64
}

// Index maps cgroup ids of one hierarchy to paths. It is safe for concurrent use.
type Index struct {
	hierarchy Hierarchy
	now       func() time.Time
	byHandle  func(id uint64) (string, error)

	mu       sync.RWMutex
	live     map[uint64]entry
	removed  map[uint64]grave
	order    []uint64             // removed ids, oldest first
	round    uint64               // of Scan
	absent   map[uint64]time.Time // ids that nothing was found for, until when that is believed
	scanned  time.Time
	scanning sync.Mutex
	stats    Stats
}

type entry struct {
	path  string
	round uint64 // the Scan during or after which it was seen
}

type grave struct {
	path  string
	until time.Time
}

// NewIndex makes an empty Index of h; Scan fills it.
func NewIndex(h Hierarchy) *Index {
	return &Index{
		hierarchy: h,
		now:       time.Now,
		byHandle:  func(id uint64) (string, error) { return openByID(h, id) },
		live:      make(map[uint64]entry),
		removed:   make(map[uint64]grave),
		absent:    make(map[uint64]time.Time),
	}
}

// Hierarchy returns the one that is indexed.
func (x *Index) Hierarchy() Hierarchy { return x.hierarchy }

// Add records a new cgroup, or the new path of a renamed one.
func (x *Index) Add(id uint64, path string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.add(id, path)
}

func (x *Index) add(id uint64, path string) {
	old, known := x.live[id]
	grown := x.stats.Bytes + len(path) - len(old.path)
	if len(path) > maxPath || grown > MaxBytes || !known && len(x.live) >= MaxLive {
		x.stats.Refused++
		return
	}
	delete(x.absent, id)
	x.stats.Bytes = grown
	x.live[id] = entry{path: path, round: x.round}
}

// Remove marks a cgroup as gone. Events about it may still be under way, so it
// is found for another Grace, or until MaxRemoved others went after it.
func (x *Index) Remove(id uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(id, x.now())
}

func (x *Index) remove(id uint64, now time.Time) {
	e, ok := x.live[id]
	if !ok {
		return
	}
	delete(x.live, id)
	x.removed[id] = grave{path: e.path, until: now.Add(Grace)}
	x.order = append(x.order, id)
	x.bury(now)
}

// bury forgets the removed that are too old or too many.
func (x *Index) bury(now time.Time) {
	n := 0
	for _, id := range x.order {
		g, ok := x.removed[id]
		if ok && len(x.order)-n <= MaxRemoved && now.Before(g.until) {
			break
		}
		if ok {
			x.stats.Bytes -= len(g.path)
			delete(x.removed, id)
		}
		n++
	}
	x.order = x.order[n:]
}

// Lookup returns the path of a cgroup, relative to the hierarchy's root and
// beginning with "/". A miss asks the kernel, in some microseconds; only where
// that is not permitted it walks the hierarchy, at most once a second. An id that
// neither finds is not asked for again for a second: every event of a process names one.
func (x *Index) Lookup(id uint64) (path string, ok bool) {
	if path, ok := x.cached(id); ok {
		return path, true
	}
	if x.isAbsent(id) {
		return "", false
	}
	path, err := x.byHandle(id)
	switch {
	case err == nil:
		x.Add(id, path)
		return path, true
	case errors.Is(err, errGone):
	case x.mayScan():
		if x.Scan() == nil {
			path, ok = x.cached(id)
		}
	}
	if !ok {
		x.missed(id)
	}
	return path, ok
}

func (x *Index) isAbsent(id uint64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	until, known := x.absent[id]
	return known && x.now().Before(until)
}

// missed remembers an id that nothing was found for. Beyond the bound all are forgotten,
// which costs asking again.
func (x *Index) missed(id uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stats.Misses++
	if _, live := x.live[id]; live {
		return // an event told of it meanwhile
	}
	if len(x.absent) >= maxAbsent {
		clear(x.absent)
	}
	x.absent[id] = x.now().Add(absentFor)
}

// IDs returns all cgroups that exist, as far as is known.
func (x *Index) IDs() []uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Collect(maps.Keys(x.live))
}

// Has tells whether Lookup would find a cgroup without asking the kernel.
func (x *Index) Has(id uint64) bool {
	_, ok := x.cached(id)
	return ok
}

func (x *Index) cached(id uint64) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if e, ok := x.live[id]; ok {
		return e.path, true
	}
	g, ok := x.removed[id]
	return g.path, ok && x.now().Before(g.until)
}

func (x *Index) mayScan() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.now().Sub(x.scanned) >= scanEvery
}

// Stats returns the counters at this moment.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.stats
	s.Live, s.Removed = len(x.live), len(x.removed)
	return s
}
