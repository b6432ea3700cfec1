// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/journal"
)

// resident is an installed script.
type resident struct {
	name     string
	script   *skepv1.InstalledTrace          // does not change; without a trace if its file is damaged
	journal  atomic.Pointer[journal.Journal] // nil if it never ran
	logger   *slog.Logger
	end      chan string // has room for one reason
	ctx      context.Context
	stop     context.CancelFunc
	attached chan struct{} // closed when it is
	ended    chan struct{} // closed when nothing of it is in the kernel any more
	claimed  atomic.Bool   // somebody installs or removes it: for others it is not there
	readers  atomic.Int32  // of its log

	mutex       sync.Mutex
	status      *skepv1.TraceStatus
	diagnostics []*skepv1.TraceDiagnostic
	err         error // of its end
	failing     bool  // the journal cannot be written
}

// newResident is claimed by who makes it.
func newResident(name string, script *skepv1.InstalledTrace, logger *slog.Logger) *resident {
	r := &resident{
		name: name, script: script, logger: logger, end: make(chan string, 1), attached: make(chan struct{}), ended: make(chan struct{}),
		status: &skepv1.TraceStatus{Name: name, State: "starting"},
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.claimed.Store(true)
	return r
}

func (r *resident) neverRan() {
	r.stop()
	close(r.ended)
}

// start runs the script on a goroutine of its own.
func (r *resident) start(t *tracer) {
	req := proto.CloneOf(r.script.GetTrace())
	if req.GetLimits() == nil {
		req.Limits = &skepv1.TraceLimits{}
	}
	if req.GetLimits().GetEventsPerSecond() == 0 {
		req.Limits.EventsPerSecond = installedRate
	}
	go func() {
		defer close(r.ended)
		defer r.stop()
		err := t.trace(r.ctx, r.name, req, r.end, r.take)
		r.over(err)
	}()
}

// take is the script's listener. It never fails: a full disk is no reason to end a script.
func (r *resident) take(events ...*skepv1.TraceEvent) error {
	r.write(events...)
	for _, e := range events {
		r.note(e)
	}
	return nil
}

// write puts events into the journal, or counts them.
func (r *resident) write(events ...*skepv1.TraceEvent) {
	now := timestamppb.Now()
	bodies := make([][]byte, len(events))
	var err error
	for i, e := range events {
		var failed error
		bodies[i], failed = proto.Marshal(&skepv1.TraceLogEntry{Time: now, Event: e})
		err = errors.Join(err, failed)
	}
	lost, failed := r.journal.Load().Write(bodies...)
	r.wrote(errors.Join(err, failed), lost)
}

// wrote counts what could not be written, and says so once.
func (r *resident) wrote(err error, lost int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.status.Lost += uint64(lost)
	if err != nil && !r.failing {
		r.logger.Warn("the log of an installed script cannot take what it says", "script", r.name, "error", err)
	}
	r.failing = err != nil
}

// note keeps what the status tells.
func (r *resident) note(e *skepv1.TraceEvent) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch b := e.GetBody().(type) {
	case *skepv1.TraceEvent_Ready:
		r.status.State, r.status.Since, r.status.Probes = "running", timestamppb.Now(), uint32(len(b.Ready.GetProbes()))
		close(r.attached)
	case *skepv1.TraceEvent_Text, *skepv1.TraceEvent_Print:
		r.status.Events++
	case *skepv1.TraceEvent_Loss:
		r.status.Lost += b.Loss.GetCount()
	case *skepv1.TraceEvent_Diagnostic:
		if len(r.diagnostics) < maxToldDiagnostics {
			r.diagnostics = append(r.diagnostics, b.Diagnostic)
		}
	case *skepv1.TraceEvent_Ended:
		r.status.State, r.status.Reason = "ended", fmt.Sprintf("%s, with %d", b.Ended.GetReason(), b.Ended.GetCode())
	}
}

// maxToldDiagnostics is how many go to who installs a script.
const maxToldDiagnostics = 100

// over keeps how it ended.
func (r *resident) over(err error) {
	r.mutex.Lock()
	r.err = err
	if err != nil {
		r.status.State, r.status.Reason = "failed", r.why(err)
	}
	state, reason := r.status.GetState(), r.status.GetReason()
	r.mutex.Unlock()
	if err != nil {
		r.logger.Warn("an installed script does not run", "script", r.name, "reason", reason)
		d := &skepv1.TraceDiagnostic{Severity: skepv1.TraceDiagnostic_SEVERITY_ERROR, Text: "it does not run: " + reason}
		r.write(&skepv1.TraceEvent{Body: &skepv1.TraceEvent_Diagnostic{Diagnostic: d}})
		return
	}
	r.logger.Info("an installed script has ended", "script", r.name, "state", state, "reason", reason)
}

// why is an error in one line, with the first fault of the script if it has any.
func (r *resident) why(err error) string {
	if errors.Is(err, server.ErrScript) {
		for _, d := range r.diagnostics {
			if d.GetSeverity() == skepv1.TraceDiagnostic_SEVERITY_ERROR {
				return fmt.Sprintf("line %d: %s", d.GetLine(), d.GetText())
			}
		}
	}
	return valid(err.Error())
}

// refused is why the script could not be started; nil if it could, even if it has ended since.
func (r *resident) refused() error {
	select {
	case <-r.attached:
		return nil
	default:
	}
	<-r.ended
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.err == nil {
		return errors.New("start the script: it ended before it was attached")
	}
	return r.err
}

// finish ends it in peace or, if that takes too long, at once, and closes the journal.
func (r *resident) finish(why string) {
	select {
	case r.end <- why:
	default: // it was asked before
	}
	select {
	case <-r.ended:
	case <-time.After(endingTakes):
		r.stop()
		<-r.ended
	}
	if j := r.journal.Load(); j != nil {
		if err := j.Close(); err != nil {
			r.logger.Warn("the log of an installed script is not closed", "script", r.name, "error", err)
		}
	}
}

func (r *resident) set(change func(*skepv1.TraceStatus)) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	change(r.status)
}

func (r *resident) statusNow() *skepv1.TraceStatus {
	r.mutex.Lock()
	status := proto.CloneOf(r.status)
	r.mutex.Unlock()
	if j := r.journal.Load(); j != nil {
		status.LogBytes = uint64(j.Bytes())
	}
	return status
}

func (r *resident) message() *skepv1.InstalledTrace {
	m := proto.CloneOf(r.script)
	m.Status = r.statusNow()
	return m
}

func (r *resident) told() []*skepv1.TraceDiagnostic {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.diagnostics[:len(r.diagnostics):len(r.diagnostics)]
}
