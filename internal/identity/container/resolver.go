// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Bounds of a Resolver.
const (
	maxQueue   = 1024
	maxEntries = 8 << 10
	workers    = 2
	missingFor = 30 * time.Second // until a container that no runtime knew is asked for again
)

// retryAfter are the waits between attempts: a runtime may list a container
// only a moment after its first process ran.
var retryAfter = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 4 * time.Second}

// State tells how far the Resolver is with a container.
type State int

// States of a container's metadata.
const (
	Unasked  State = iota // never asked for, or the queue was full: call Get again
	Pending               // queued or being asked for
	Resolved              // Meta is complete
	Missing               // no runtime knows it; after 30 s Get asks again
)

// ResolverStats counts what a Resolver did.
type ResolverStats struct {
	Entries                             int
	Resolved, Missing, Failed, Overflow uint64 // Failed: single calls; Overflow: Gets refused by the full queue
}

// ResolverOptions configure a Resolver; its zero value asks nobody.
type ResolverOptions struct {
	Sockets    []Socket
	Namespaces []string       // containerd's; nil for DefaultNamespaces
	OnResolved func(ID, Meta) // called from Run's goroutines; may be nil
	Log        *slog.Logger   // nil for slog.Default()
}

// Resolver asks the runtimes for metadata, in the background.
type Resolver struct {
	sources    []source
	onResolved func(ID, Meta)
	log        *slog.Logger
	queue      chan ID

	mu      sync.Mutex
	entries map[ID]*resolution
	stats   ResolverStats
}

type resolution struct {
	state   State
	meta    Meta
	attempt int
	expires time.Time // of Missing
}

// NewResolver makes a Resolver; Run makes it work.
func NewResolver(o ResolverOptions) *Resolver {
	if o.Namespaces == nil {
		o.Namespaces = DefaultNamespaces
	}
	if o.OnResolved == nil {
		o.OnResolved = func(ID, Meta) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Resolver{
		sources:    newSources(o.Sockets, o.Namespaces),
		onResolved: o.OnResolved,
		log:        o.Log,
		queue:      make(chan ID, maxQueue),
		entries:    make(map[ID]*resolution),
	}
}

// Get returns what is known now and never blocks. What is not known is asked
// for in the background and delivered to OnResolved.
func (r *Resolver) Get(id ID) (Meta, State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.entries[id]
	if known && (e.state != Missing || time.Now().Before(e.expires)) {
		return e.meta, e.state
	}
	if !known && len(r.entries) >= maxEntries && !r.evict() {
		r.stats.Overflow++
		return Meta{}, Unasked
	}
	if !r.enqueue(id) {
		return Meta{}, Unasked
	}
	r.entries[id] = &resolution{state: Pending}
	return Meta{}, Pending
}

func (r *Resolver) enqueue(id ID) bool {
	select {
	case r.queue <- id:
		return true
	default:
		r.stats.Overflow++
		return false
	}
}

// evict makes room for one entry that can be asked for again.
func (r *Resolver) evict() bool {
	for id, e := range r.entries {
		if e.state != Pending {
			delete(r.entries, id)
			return true
		}
	}
	return false
}

// Forget drops a container that is gone.
func (r *Resolver) Forget(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.entries, id)
}

// Stats returns the counters at this moment.
func (r *Resolver) Stats() ResolverStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Entries = len(r.entries)
	return s
}

// Run asks the runtimes until ctx is done, then returns nil.
func (r *Resolver) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { r.work(ctx) })
	}
	wg.Wait()
	return nil
}

func (r *Resolver) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-r.queue:
			meta, err := r.ask(ctx, id)
			if r.settle(id, meta, err) {
				r.onResolved(id, meta)
			}
		}
	}
}

// errNoRuntime: there is nobody to ask, so asking again soon is no use.
var errNoRuntime = errors.New("no runtime has a socket here")

// ask tries the sockets that suit first. The others are asked too, as a path
// may mislead, but only for a 64-digit id: a name is not unique among runtimes.
func (r *Resolver) ask(ctx context.Context, id ID) (Meta, error) {
	result := errNoRuntime
	for _, suiting := range []bool{true, false} {
		if !suiting && !isHex64(id.ID) {
			break
		}
		for _, s := range r.sources {
			if s.suits(id) != suiting || !s.there(id.Owner) {
				continue
			}
			meta, err := s.lookup(ctx, id)
			if err == nil {
				return meta.tidy(), nil
			}
			result = err
			r.failed(ctx, s, id, err)
		}
	}
	return Meta{}, result
}

func (r *Resolver) failed(ctx context.Context, s source, id ID, err error) {
	if errors.Is(err, errNotFound) || ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.stats.Failed++
	r.mu.Unlock()
	r.log.Debug("asking a container runtime failed", "socket", s.socket, "container", id.ID, "error", err)
}

// settle records an answer, or plans the next attempt.
func (r *Resolver) settle(id ID, meta Meta, err error) (resolved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[id]
	if !ok {
		return false // forgotten meanwhile
	}
	if err == nil {
		e.state, e.meta = Resolved, meta
		r.stats.Resolved++
		return true
	}
	if e.attempt >= len(retryAfter) || errors.Is(err, errNoRuntime) {
		e.state, e.expires = Missing, time.Now().Add(missingFor)
		r.stats.Missing++
		return false
	}
	time.AfterFunc(retryAfter[e.attempt], func() { r.retry(id) })
	e.attempt++
	return false
}

func (r *Resolver) retry(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[id]; ok && e.state == Pending && !r.enqueue(id) {
		delete(r.entries, id) // Get will ask again
	}
}
