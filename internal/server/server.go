// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/event"
)

// Processes is the agent's process table. What it returns is not changed by
// the server, and must not change any more.
type Processes interface {
	// List returns the live processes, with exited also those still remembered, each with
	// its number of open connections.
	List(exited bool) []*skepv1.ProcessInfo
	// Get finds a process by process_id or exec_id, or, if id is empty, the
	// live process with that pid, with its connections.
	Get(id string, pid uint32) (*skepv1.GetProcessResponse, bool)
	// Ancestors yields the ancestors of an exec id, parent first, without the
	// process itself, until yield returns false.
	Ancestors(execID string, yield func(*skepv1.Process) bool)
}

// Connections is the agent's connection table; the same holds for what it returns.
type Connections interface {
	// List returns the open connections, with closed also those still remembered.
	List(closed bool) []*skepv1.ConnectionInfo
	// Counted is List, with what the open ones have carried so far where that is known.
	Counted(closed bool) []*skepv1.ConnectionInfo
}

// Usage measures what processes do.
type Usage interface {
	// Begin starts a measurement for one reader.
	Begin() Meter
}

// Meter is for one goroutine.
type Meter interface {
	// Take returns a row for each process that did something since the last Take, or Begin,
	// and how long that was. Where a row has rates it has what there was in all; CPU in seconds.
	// Records that it had no room for are uncounted. The rows are the caller's, the processes
	// in them are not.
	Take() (rows []*skepv1.TopRow, measured time.Duration, uncounted uint64)
	// End frees what it holds.
	End()
}

// Node is what every record says about where it comes from.
type Node struct{ ID, BootID, Name string }

// Deps are what a Server works with. All are needed but Tracer, Installer, TraceMaps, Store, Audit and Logger.
type Deps struct {
	Node        Node
	Log         *event.Log
	Processes   Processes
	Connections Connections
	Usage       Usage
	// Tracer is nil for an agent that runs no scripts, and Installer for one that keeps none.
	Tracer    Tracer
	Installer Installer
	// TraceMaps are the maps of scripts that are to be metrics; nil if there are none ever.
	TraceMaps func() []TraceMap
	// Store is nil for an agent without a disk log.
	Store Store
	// CatchUp returns once Log and the tables have what happened before it was called, or
	// soon; nil if they always have.
	CatchUp func(context.Context)
	// Status and Doctor return a fresh message; the server adds the subscribers.
	Status func() *skepv1.GetStatusResponse
	Doctor func() *skepv1.GetDoctorResponse
	// Diagnostics returns a fresh message without secrets.
	Diagnostics func() *skepv1.GetDiagnosticsResponse
	Logger      *slog.Logger
	// Audit takes one line of JSON per Write; nil discards them.
	Audit io.Writer
	// TokenKey signs tokens, 32 bytes or more: see LoadTokenKey. Changing it
	// revokes every token.
	TokenKey []byte
	Roles    RoleConfig
}

func (s *Server) catchUp(ctx context.Context) {
	if s.deps.CatchUp != nil {
		s.deps.CatchUp(ctx)
	}
}

// Server implements the AgentService.
type Server struct {
	deps      Deps
	roles     *roles
	admission *admission
	tokens    tokens
	audit     *audit
	// Streams are counted by the user who has them, other calls by the peer.
	streams  *limiter
	inFlight *limiter
	exports  *limiter
	searches *limiter
	tops     *limiter
	scripts  *scripts
	counting chan struct{} // has a place for each count that may run
	calls    *callCounts
	tls      atomic.Pointer[tlsListener] // nil without one
	// filterFailures are those of the streams that have ended.
	filterFailures atomic.Uint64
	requestTimeout time.Duration
	answerTimeout  time.Duration
}

var _ skepv1connect.AgentServiceHandler = (*Server)(nil)

// New makes a server. It does no I/O.
func New(deps Deps) (*Server, error) {
	switch {
	case deps.Log == nil, deps.Processes == nil, deps.Connections == nil, deps.Usage == nil, deps.Status == nil, deps.Doctor == nil, deps.Diagnostics == nil:
		return nil, errors.New("make server: Log, Processes, Connections, Usage, Status, Doctor and Diagnostics are all needed")
	case len(deps.TokenKey) < minTokenKey:
		return nil, fmt.Errorf("make server: the token key has %d bytes, it needs %d", len(deps.TokenKey), minTokenKey)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Audit == nil {
		deps.Audit = io.Discard
	}
	roles := newRoles(deps.Roles, accounts{}, time.Now)
	return &Server{
		deps:      deps,
		roles:     roles,
		admission: newAdmission(roles),
		tokens:    tokens{key: deps.TokenKey, now: time.Now},
		audit:     newAudit(deps.Audit, deps.Logger),
		streams:   newLimiter(maxStreamsPerUID),
		inFlight:  newLimiter(maxCallsPerUID),
		exports:   newLimiter(1),
		searches:  newLimiter(maxSearchesPerUID).within(maxSearches),
		tops:      newLimiter(maxTopsPerUID).within(maxTops),
		scripts:   newScripts(),
		counting:  make(chan struct{}, maxCounting),
		calls:     newCallCounts(),

		requestTimeout: readRequestTimeout,
		answerTimeout:  writeAnswerTimeout,
	}, nil
}
