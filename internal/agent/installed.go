// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/journal"
)

// installed implements server.Installer: the scripts that stay in the agent, each a file and a
// journal in a directory, and a goroutine that runs it.
type installed struct {
	tracer *tracer
	dir    string
	logger *slog.Logger

	mutex   sync.Mutex
	scripts map[string]*resident
	stopped bool
}

const (
	// maxInstalled bounds the scripts, which have at most 16 MiB of journal each.
	maxInstalled = 16
	// installedRate is how many events a second each may say, if it does not say itself.
	installedRate = 1000
	// endingTakes is how long a script has for its end probes and its maps.
	endingTakes = 2 * time.Second
)

// Reasons why an installed script is asked to end.
const (
	endStopping = "stopping"
	endRemoved  = "removed"
)

func newInstalled(t *tracer, dir string, logger *slog.Logger) *installed {
	return &installed{tracer: t, dir: dir, logger: logger, scripts: map[string]*resident{}}
}

// resume starts what was installed before, before anybody can install more.
func (i *installed) resume() {
	if err := i.load(); err != nil {
		i.logger.Error("installed scripts are not run", "error", err)
	}
}

// run ends all scripts in peace when ctx is done.
func (i *installed) run(ctx context.Context) error {
	<-ctx.Done()
	i.mutex.Lock()
	i.stopped = true
	all := slices.Collect(maps.Values(i.scripts))
	i.mutex.Unlock()
	var group sync.WaitGroup
	for _, r := range all {
		group.Go(func() { r.finish(endStopping) })
	}
	group.Wait()
	return nil
}

// load reads the directory and starts what is in it. What is damaged is kept to be told of.
func (i *installed) load() error {
	kept, err := readInstalled(i.dir)
	if err != nil {
		return err
	}
	if err := removeLeftovers(i.dir, kept); err != nil {
		i.logger.Warn("what is left of scripts that are not installed is not removed", "error", err)
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for name, file := range kept {
		r := newResident(name, file.script, i.logger)
		r.claimed.Store(false)
		i.scripts[name] = r
		if file.err == nil {
			file.err = i.openJournal(r)
		}
		if file.err != nil {
			i.logger.Error("an installed script is not run", "script", name, "error", file.err)
			r.set(func(s *skepv1.TraceStatus) { s.State, s.Reason = "damaged", valid(file.err.Error()) })
			r.neverRan()
			continue
		}
		r.start(i.tracer)
	}
	return nil
}

// Install implements server.Installer.
func (i *installed) Install(ctx context.Context, uid uint32, req *skepv1.InstallTraceRequest) (*skepv1.InstallTraceResponse, error) {
	name := req.GetName()
	script := &skepv1.InstalledTrace{
		Status: &skepv1.TraceStatus{Name: name}, Installed: timestamppb.Now(), Uid: uid, Trace: proto.CloneOf(req.GetTrace()),
	}
	r, err := i.reserve(name, script)
	if err != nil {
		return nil, err
	}
	if err := i.openJournal(r); err != nil {
		r.neverRan()
		return nil, errors.Join(err, i.forget(r))
	}
	r.start(i.tracer)
	select {
	case <-r.attached:
	case <-r.ended:
	case <-ctx.Done():
		r.finish(endRemoved)
		return nil, errors.Join(context.Cause(ctx), i.forget(r))
	}
	if err := r.refused(); err != nil {
		r.finish(endRemoved)
		err = errors.Join(err, i.forget(r))
		if errors.Is(err, server.ErrScript) {
			return &skepv1.InstallTraceResponse{Diagnostics: r.told()}, nil
		}
		return nil, err
	}
	if err := writeInstalled(i.dir, name, script); err != nil {
		r.finish(endRemoved)
		return nil, errors.Join(fmt.Errorf("keep script %s: %w", name, err), removeInstalled(i.dir, name), i.forget(r))
	}
	r.claimed.Store(false)
	return &skepv1.InstallTraceResponse{Diagnostics: r.told(), Installed: r.message()}, nil
}

func (i *installed) openJournal(r *resident) error {
	j, err := journal.Open(journalPath(i.dir, r.name))
	if err == nil {
		r.journal.Store(j)
	}
	return err
}

// reserve takes a name and a place.
func (i *installed) reserve(name string, script *skepv1.InstalledTrace) (*resident, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	switch {
	case i.stopped:
		return nil, errors.New("the agent is stopping")
	case i.scripts[name] != nil:
		return nil, server.ErrInstalled
	case len(i.scripts) >= maxInstalled:
		return nil, fmt.Errorf("%w: %d", server.ErrTooMany, maxInstalled)
	}
	r := newResident(name, script, i.logger)
	i.scripts[name] = r
	return r, nil
}

// forget takes a script that has ended away, with its journal.
func (i *installed) forget(r *resident) error {
	err := journal.Remove(journalPath(i.dir, r.name))
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.scripts[r.name] == r {
		delete(i.scripts, r.name)
	}
	return err
}

// Remove implements server.Installer. The file goes first: once that is gone the script does
// not come back.
func (i *installed) Remove(_ context.Context, name string) error {
	r := i.find(name)
	if r == nil || !r.claimed.CompareAndSwap(false, true) {
		return server.ErrNotInstalled
	}
	if err := removeInstalled(i.dir, name); err != nil {
		r.claimed.Store(false)
		return fmt.Errorf("remove script %s: %w", name, err)
	}
	r.finish(endRemoved)
	r.readOut()
	return i.forget(r)
}

func (i *installed) find(name string) *resident {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.scripts[name]
}

func (i *installed) sorted() []*resident {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return slices.SortedFunc(maps.Values(i.scripts), func(a, b *resident) int { return strings.Compare(a.name, b.name) })
}

// List implements server.Installer.
func (i *installed) List() []*skepv1.InstalledTrace {
	var all []*skepv1.InstalledTrace
	for _, r := range i.sorted() {
		all = append(all, r.message())
	}
	return all
}

// status is what everybody may know of them.
func (i *installed) status() []*skepv1.TraceStatus {
	var all []*skepv1.TraceStatus
	for _, r := range i.sorted() {
		all = append(all, r.statusNow())
	}
	return all
}
