// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"path"
	"sync"
	"time"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

// CgroupMade takes the kernel's cgroup_mkdir event: the cgroup is known before
// the first process is in it.
func (t *Table) CgroupMade(id uint64, path string) {
	t.index.Add(id, path)
	t.ForCgroup(id)
}

// CgroupGone takes the kernel's cgroup_rmdir event. Events that are still under
// way find the cgroup for another cgroup.Grace. The path is for one whose cgroup_mkdir
// was lost, and "" where the kernel side cannot read it.
func (t *Table) CgroupGone(id uint64, path string) {
	if path != "" {
		t.index.Add(id, path)
	}
	t.index.Remove(id)
}

// above finds what is in paths for p or the nearest path above it.
func above(paths map[string]ID, p string) (ID, bool) {
	if len(paths) == 0 {
		return ID{}, false
	}
	for ; p != "/" && p != "." && p != ""; p = path.Dir(p) {
		if id, ok := paths[p]; ok {
			return id, true
		}
	}
	return ID{}, false
}

// Containers returns all that are known now, systemd units included.
func (t *Table) Containers() []*Container {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Container, 0, len(t.workloads))
	for _, w := range t.workloads {
		all = append(all, w.current.Load())
	}
	return all
}

// Stats are the counters of a Table and of what it is made of.
type Stats struct {
	Cgroups   int    // remembered
	Refused   uint64 // times that one could not be, so that its container is looked for again
	Workloads int
	Index     cgroup.Stats
	Resolver  ResolverStats
}

// Stats returns the counters at this moment.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	s := Stats{Cgroups: len(t.cells), Refused: t.refused, Workloads: len(t.workloads)}
	t.mu.Unlock()
	s.Index, s.Resolver = t.index.Stats(), t.resolver.Stats()
	return s
}

// sweep drops the cells of cgroups that are gone, asks again for missing
// metadata, and looks at what runc started in cgroups that were there before.
func (t *Table) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, c := range t.cells {
		if !t.index.Has(id) {
			t.drop(c)
		}
	}
	for _, w := range t.workloads {
		t.ask(w)
	}
	t.runc.refresh(now)
	if t.runc.takeNews() {
		t.again(now)
	}
}

// watchRunc reads each new state as soon as it is written, until stop is
// called. Without inotify, young cgroups and the sweep read the directories.
func (t *Table) watchRunc(ctx context.Context, wg *sync.WaitGroup) (stop func()) {
	w, err := newWatch()
	if err != nil {
		t.log.Warn("short-lived containers of plain runc may be missed", "error", err)
		return func() {}
	}
	t.mu.Lock()
	t.runc.watch = w
	t.runc.refresh(time.Now())
	t.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		w.wait(ctx, t.readRunc)
	})
	return func() {
		cancel()
		<-done
		t.mu.Lock()
		defer t.mu.Unlock()
		t.runc.watch = nil
		_ = w.file.Close()
	}
}

func (t *Table) readRunc() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.runc.watch.changed() {
		t.runc.refresh(now)
	}
	if t.runc.takeNews() {
		t.again(now)
	}
}

func (t *Table) drop(c *cell) {
	delete(t.cells, c.id)
	t.slot(c.id).CompareAndSwap(c, nil)
	t.release(c.workload.Load())
}

// again identifies the cells afresh that have a path and no container.
func (t *Table) again(now time.Time) {
	for _, c := range t.cells {
		if c.path != "" && !c.isContainer() {
			t.identify(c, now)
		}
	}
}
