// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

const (
	slotBits   = 12       // of the direct-mapped cache in front of the map: 32 KiB
	maxCells   = 96 << 10 // cgroups remembered, the unknown ones included
	youngFor   = 10 * time.Second
	recheck    = time.Millisecond // of a young cgroup without a pattern
	unknownFor = time.Second      // until a cgroup that nobody knows is asked for again
	sweepEvery = time.Second
	scanEvery  = time.Minute // finds what lost events did not tell
)

// Options configure a Table; the zero value uses the default places.
type Options struct {
	Sockets    []Socket         // nil: DefaultSockets
	Namespaces []string         // containerd's; nil: DefaultNamespaces
	RuncRoots  []string         // nil: DefaultRuncRoots
	OnResolved func(*Container) // after metadata came in, or a claim turned out to be false
	Log        *slog.Logger
}

// Table joins cgroup ids with containers. It is safe for concurrent use.
type Table struct {
	index      *cgroup.Index
	runc       *runcStates
	resolver   *Resolver
	onResolved func(*Container)
	log        *slog.Logger
	slots      [1 << slotBits]atomic.Pointer[cell]

	owner func(cgroupPath string) (uid uint32, ok bool) // ownerOf, but in tests

	mu        sync.Mutex
	cells     map[uint64]*cell
	workloads map[ID]*workload
	claims    map[*workload]struct{}
	made      map[string]int // workloads by id, and by pod, that are no claims
	madePods  map[string]int
	refused   uint64
}

// cell is one cgroup.
type cell struct {
	id       uint64
	workload atomic.Pointer[workload]
	retry    atomic.Int64 // Unix ns after which to look again, 0 if settled
	path     string       // "" if unknown
	born     time.Time
}

// workload is what one or more cgroups belong to.
type workload struct {
	id      ID
	current atomic.Pointer[Container]
	cells   int
}

// NewTable makes a Table over an index; Run keeps it fresh.
func NewTable(index *cgroup.Index, o Options) *Table {
	if o.Sockets == nil {
		o.Sockets = DefaultSockets
	}
	if o.RuncRoots == nil {
		o.RuncRoots = DefaultRuncRoots
	}
	if o.OnResolved == nil {
		o.OnResolved = func(*Container) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	t := &Table{
		index:      index,
		runc:       newRuncStates(index.Hierarchy(), o.RuncRoots),
		onResolved: o.OnResolved,
		log:        o.Log,
		cells:      make(map[uint64]*cell),
		workloads:  make(map[ID]*workload),
		claims:     make(map[*workload]struct{}),
		made:       make(map[string]int),
		madePods:   make(map[string]int),
	}
	t.owner = t.ownerOf
	t.resolver = NewResolver(ResolverOptions{Sockets: o.Sockets, Namespaces: o.Namespaces, OnResolved: t.resolved, Log: o.Log})
	return t
}

// ForCgroup returns whose cgroup this is, or nil. ID is empty for a systemd
// unit that is no container. The pointer may be kept: a Container never
// changes, but a later call may return a newer one, with metadata.
func (t *Table) ForCgroup(id uint64) *Container {
	if c := t.slot(id).Load(); c != nil && c.id == id && c.retry.Load() == 0 {
		return c.container()
	}
	return t.lookup(id)
}

func (t *Table) slot(id uint64) *atomic.Pointer[cell] {
	return &t.slots[id*0x9e3779b97f4a7c15>>(64-slotBits)]
}

func (c *cell) isContainer() bool {
	w := c.workload.Load()
	return w != nil && w.id.ID != ""
}

func (c *cell) container() *Container {
	if w := c.workload.Load(); w != nil {
		return w.current.Load()
	}
	return nil
}

func (t *Table) lookup(id uint64) *Container {
	now := time.Now()
	t.mu.Lock()
	c, ok := t.cells[id]
	t.mu.Unlock()
	if !ok || c.path == "" && now.UnixNano() >= c.retry.Load() {
		c = t.admit(id, now)
	}
	if retry := c.retry.Load(); retry != 0 && c.path != "" && now.UnixNano() >= retry {
		t.mu.Lock()
		t.identify(c, now)
		t.mu.Unlock()
	}
	t.slot(id).Store(c)
	return c.container()
}

// admit makes the cell of a cgroup; the index is asked without our lock.
func (t *Table) admit(id uint64, now time.Time) *cell {
	path, ok := t.index.Lookup(id)
	born := t.bornAt(path, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.cells[id]; ok && c.path != "" {
		return c // another goroutine was faster
	}
	c := &cell{id: id, path: path, born: born}
	if ok {
		t.identify(c, now)
	} else {
		c.retry.Store(now.Add(unknownFor).UnixNano())
	}
	if _, known := t.cells[id]; known || len(t.cells) < maxCells {
		t.cells[id] = c
	} else {
		t.refused++
	}
	return c
}

// bornAt is when a cgroup was made, or changed: it is not young because the agent is. Without
// an answer, or with one from before the clock was set back, it is now.
func (t *Table) bornAt(path string, now time.Time) time.Time {
	var stat unix.Stat_t
	if path == "" || unix.Lstat(t.index.Hierarchy().Dir(path), &stat) != nil {
		return now
	}
	if changed := time.Unix(stat.Ctim.Unix()); changed.Before(now) {
		return changed
	}
	return now
}

// identify finds a cell's workload. A young cgroup without a pattern may
// become runc's at any moment, so it is not settled yet.
func (t *Table) identify(c *cell, now time.Time) {
	id, ok := t.byPath(c.path, now)
	if !ok && c.isContainer() {
		return // runc removes its state before the last events are in
	}
	switch {
	case ok || c.path == "/" || now.Sub(c.born) > youngFor:
		c.retry.Store(0)
	default:
		c.retry.Store(now.Add(recheck).UnixNano())
	}
	t.assign(c, id)
}

func (t *Table) byPath(path string, now time.Time) (ID, bool) {
	id, ok := Parse(path)
	if ok {
		return t.believe(path, id)
	}
	if path == "/" {
		return id, false
	}
	if t.runc.stale(now) {
		t.runc.refresh(now)
	}
	if found, ok := t.runc.find(path); ok {
		found.Unit = id.Unit
		return found, true
	}
	return id, false
}

// assign moves a cell to the workload of id.
func (t *Table) assign(c *cell, id ID) {
	old := c.workload.Load()
	if old != nil && old.id == id || old == nil && id == (ID{}) {
		return
	}
	t.release(old)
	if id == (ID{}) {
		c.workload.Store(nil)
		return
	}
	w, ok := t.workloads[id]
	if !ok {
		w = &workload{id: id}
		w.current.Store(newContainer(id, Meta{}))
		t.workloads[id] = w
		t.arrive(w)
	}
	w.cells++
	c.workload.Store(w)
	t.ask(w)
}

func (t *Table) release(w *workload) {
	if w == nil {
		return
	}
	if w.cells--; w.cells == 0 {
		delete(t.workloads, w.id)
		delete(t.claims, w)
		t.count(w.id, -1)
		t.resolver.Forget(w.id)
	}
}

func (t *Table) arrive(w *workload) {
	if w.id.Owner != 0 {
		t.claims[w] = struct{}{}
		return
	}
	t.count(w.id, 1)
	if w.id.ID != "" && t.made[w.id.ID] == 1 {
		t.refute(w.id)
	}
}

// ask lets the resolver find the metadata of a container that has none yet.
func (t *Table) ask(w *workload) {
	if w.id.ID == "" || w.current.Load().Resolved {
		return
	}
	if meta, state := t.resolver.Get(w.id); state == Resolved {
		w.set(meta)
	}
}

func (w *workload) set(meta Meta) *Container {
	c := newContainer(w.id, meta)
	c.Resolved = true
	w.current.Store(c)
	return c
}

// resolved takes the resolver's answer.
func (t *Table) resolved(id ID, meta Meta) {
	t.mu.Lock()
	w, ok := t.workloads[id]
	var c *Container
	if ok {
		c = w.set(meta)
	}
	t.mu.Unlock()
	if ok {
		t.onResolved(c)
	}
}

// Run resolves metadata and forgets what is gone, until ctx is done.
func (t *Table) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { _ = t.resolver.Run(ctx) })
	defer wg.Wait()
	stop := t.watchRunc(ctx, &wg)
	defer stop()
	t.scan()
	sweep, scan := time.NewTicker(sweepEvery), time.NewTicker(scanEvery)
	defer sweep.Stop()
	defer scan.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-scan.C:
			t.scan()
		case now := <-sweep.C:
			t.sweep(now)
		}
	}
}

func (t *Table) scan() {
	if err := t.index.Scan(); err != nil && !errors.Is(err, context.Canceled) {
		t.log.Warn("cgroups made before the agent may be missing", "error", err)
	}
	for _, id := range t.index.IDs() {
		t.ForCgroup(id)
	}
}
