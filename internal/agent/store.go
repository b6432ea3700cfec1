// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/internal/identity"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/store"
)

// openStore begins the disk log. A private agent has none: it leaves nothing.
func (a *Agent) openStore() error {
	cfg := a.options.Config.Store
	if !cfg.Enabled || a.options.Private {
		return nil
	}
	numbered := map[string]uint64{}
	for _, kind := range event.Kinds() {
		numbered[kind.String()] = a.sink.recorder.seq(kind)
	}
	var err error
	a.store, err = store.New(store.Options{
		Dir: storeDir(a.options.Config), MaxBytes: int64(cfg.MaxBytes), MaxAge: cfg.MaxAge, Log: a.log, Close: closeLog,
		Processes: a.snapshot, BootID: a.node.BootID, Numbered: numbered, Begun: a.sink.recorder.begun(), Logger: a.logger,
	})
	if err != nil {
		return err
	}
	a.store.Open()
	a.sink.store = a.store
	return nil
}

// snapshot is the process table as the disk log keeps it.
func (a *Agent) snapshot() []*skepv1.Record {
	now := bootNS()
	origin := &skepv1.Record{
		NodeId: a.node.ID, BootId: a.node.BootID, NodeName: a.node.Name, Cluster: a.options.Config.Cluster,
		Time: a.clock.Wall(now), BootNs: now,
	}
	return store.Snapshot(identity.View{Table: a.processes, Clock: a.clock}.List(false), origin)
}

// closeLog closes a log in a process of its own, of the lowest priority: it takes more
// memory than the agent may, and whatever happens to it does not happen to the agent.
func closeLog(ctx context.Context, dir string, id uint64) (d store.Damage, err error) {
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, "/proc/self/exe", "close-log", "--dir", dir, strconv.FormatUint(id, 10))
	c.Stderr = &stderr
	// It must not outlive the agent: the next one closes the log itself, and this one would
	// then remove the segments of a log that is gone. The signal comes when the thread ends
	// that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := c.Output()
	if err != nil {
		return d, fmt.Errorf("close log %d: %w: %s", id, err, strings.TrimSpace(stderr.String()))
	}
	_, err = fmt.Sscan(string(out), &d.Bytes, &d.Records)
	return d, err
}

// history is the disk log as the server sees it.
type history struct{ *store.Store }

// Past implements server.Store.
func (h history) Past() server.Past { return past{h.Store.Past()} }

// ProcessesAt implements server.Store.
func (h history) ProcessesAt(ctx context.Context, at time.Time) ([]*skepv1.ProcessInfo, []string, error) {
	all, missing, err := h.Store.ProcessesAt(ctx, at)
	return all, texts(missing), err
}

type past struct{ *store.Past }

// Read implements server.Past.
func (p past) Read(ctx context.Context, from, until time.Time, filter *filters.Filter, emit func(*skepv1.Record) error) ([]string, error) {
	missing, err := p.Past.Read(ctx, from, until, filter, emit)
	return texts(missing), err
}

// Last implements server.Past.
func (p past) Last(ctx context.Context, n int, from, until time.Time, filter *filters.Filter) ([]*skepv1.Record, []string, error) {
	records, missing, err := p.Past.Last(ctx, n, from, until, filter)
	return records, texts(missing), err
}

// Count implements server.Past.
func (p past) Count(ctx context.Context, from, until time.Time, filter *filters.Filter, add func(string, int64, *skepv1.Record)) (time.Time, []string, error) {
	counted, missing, err := p.Past.Count(ctx, from, until, filter, add)
	return counted, texts(missing), err
}

// Export implements server.Past.
func (p past) Export(ctx context.Context, from, until time.Time, filter *filters.Filter, out io.Writer, progress func(uint64)) ([]string, error) {
	missing, err := p.Past.Export(ctx, from, until, filter, out, progress)
	return texts(missing), err
}

func texts(missing []store.Missing) (all []string) {
	for _, m := range missing {
		all = append(all, m.String())
	}
	return all
}

// placeStore is where records are lost that the disk log lacks.
const placeStore = "store"

// tellStoreAgain is how often it is told that the disk still refuses.
const tellStoreAgain = time.Minute

// tellFirstGaps tells what earlier agents did not store before anything else is: a record behind
// it hides that it is missing from an agent that comes after this one. A disk that hangs is not
// waited for.
func (s *sink) tellFirstGaps() {
	if s.store == nil {
		return
	}
	select {
	case <-s.store.Begun():
	case <-time.After(adoptPatience):
		s.storeHangs = true
	}
	s.reportGaps()
}

// reportGaps tells of records that earlier agents did not store.
func (s *sink) reportGaps() {
	if s.store == nil {
		return
	}
	for _, gap := range s.store.Gaps() {
		if kind, err := event.ParseKind(gap.Kind); err == nil {
			s.gaps[kind].Add(gap.Last - gap.First + 1)
		}
		s.publishLoss(&skepv1.Loss{
			LostKind: gap.Kind, Count: gap.Last - gap.First + 1, Place: placeStore, FirstSeq: gap.First, LastSeq: gap.Last,
			Detail: "not in the disk log: an agent before this one ended without writing them, or did not keep one",
		})
	}
}

// reportStore tells of records that this agent did not store.
func (s *sink) reportStore(end bool) {
	if s.store == nil {
		return
	}
	now, why := s.store.Losses(), s.store.Failing()
	if why != nil {
		s.storeFailure = why
	}
	if why != nil && !end {
		s.tellStoreFails(why)
		return
	}
	s.tellStoreLosses(now)
}

// tellStoreFails says that the disk refuses. How much it cost is told when the disk takes it:
// told now, the log would lack that too, and who reads it later would miss records that
// nobody has counted. Until then the status says it.
func (s *sink) tellStoreFails(why error) {
	if time.Since(s.toldStoreAt) < tellStoreAgain {
		return
	}
	s.toldStoreAt = time.Now()
	s.publishLoss(&skepv1.Loss{LostKind: "unknown", Place: placeStore,
		Detail: "the disk log is not written, and what it lacks is told when it is again: " + why.Error()})
}

func (s *sink) tellStoreLosses(now event.Counts) {
	detail := "not in the disk log: they came faster than they could be written"
	if s.storeFailure != nil {
		detail = "not in the disk log: " + s.storeFailure.Error()
	}
	for kind, n := range now {
		if lost := n - s.toldStore[kind]; lost > 0 {
			s.publishLoss(&skepv1.Loss{LostKind: event.Kind(kind).String(), Count: lost, Place: placeStore, Detail: detail})
		}
	}
	s.toldStore, s.toldStoreAt, s.storeFailure = now, time.Time{}, nil
}

func (s *sink) publishLoss(loss *skepv1.Loss) {
	s.recorder.publish(event.Loss, bootNS(), nil, &skepv1.Record{Body: &skepv1.Record_Loss{Loss: loss}})
}
