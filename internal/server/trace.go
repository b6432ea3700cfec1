// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// What scripts may take of the agent.
const (
	maxScriptsPerUID = 16
	maxScripts       = 32
	maxScriptBytes   = 512 << 10
	maxScriptName    = 4 << 10
	maxScriptArgs    = 256
	maxSignalName    = 32
	// maxScriptTime is how long a script runs at most: whoever wants it for longer has
	// forgotten it.
	maxScriptTime = 7 * 24 * time.Hour
	// endingTakes is how long a script has for its end probes and its maps when the agent
	// stops: it is less than shutdownGrace.
	endingTakes = 2 * time.Second
)

// Reasons why the server asks a script to end, as TraceEnded tells them.
const (
	endAsked    = "asked"
	endTimeout  = "timeout"
	endStopping = "stopping"
)

// SignalReason begins what a Tracer is told beside reasons to end: the name of a signal that
// the client has got follows.
const SignalReason = "signal:"

// ConfirmedReason is no reason to end either: the client has done what it was asked for.
const ConfirmedReason = "confirmed"

// Tracer runs scripts of the tracing language.
type Tracer interface {
	// Trace does what a request asks for, and gives send what there is to say, from one
	// goroutine at a time. It returns once nothing of the script is left in the kernel.
	//
	// When end has a reason, the script ends as if it had said exit(): the end probes run,
	// and the maps are sent; a SignalReason only runs the probes of that signal, and a ConfirmedReason
	// answers TraceCommand.KIND_CONFIRM. When ctx is
	// done nobody listens any more, and it just ends.
	// What is wrong in the script is sent as diagnostics, and then ErrScript is returned.
	Trace(ctx context.Context, req *skepv1.TraceRequest, end <-chan string, send func(...*skepv1.TraceEvent) error) error
	// ToolRole is the role that a tool takes, if there is one of that name.
	ToolRole(name string) (role skepv1.Role, ok bool)
	// Tools are those that there are, by name. The answer is shared: it is not to be changed.
	Tools() ([]*skepv1.Tool, error)
}

// ErrScript is returned by a Tracer that has sent what is wrong in the script.
var ErrScript = errors.New("the script has errors")

// scripts are those that run.
type scripts struct {
	places *limiter

	mutex   sync.Mutex
	running map[string]*script
}

// script is one that runs.
type script struct {
	uid   uint32
	end   chan string // has room for a reason behind as many signals as may wait
	ended <-chan struct{}
}

func newScripts() *scripts {
	return &scripts{places: newLimiter(maxScriptsPerUID).within(maxScripts), running: map[string]*script{}}
}

func (s *scripts) add(one *script) (id string, remove func()) {
	id = rand.Text()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running[id] = one
	return id, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.running, id)
	}
}

func (s *scripts) find(id string) *script {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.running[id]
}

// ask asks a script to end, for the first reason given.
func (s *script) ask(why string) {
	select {
	case s.end <- why:
	default:
	}
}

// maxSignals that wait until a script takes them.
const maxSignals = 16

// tell tells a script what is no reason to end.
func (s *script) tell(what string) error {
	if len(s.end) >= maxSignals {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%d signals wait for the script already", maxSignals))
	}
	s.ask(what)
	return nil
}

// Trace implements the AgentService.
func (s *Server) Trace(ctx context.Context, req *skepv1.TraceRequest, stream *connect.ServerStream[skepv1.TraceResponse]) error {
	c := callerFrom(ctx)
	if err := s.mayTrace(c, req); err != nil {
		return err
	}
	if err := checkTrace(req); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	if !s.scripts.places.acquire(c.uid) {
		return connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("%d scripts of uid %d run, or %d of all users, which is the limit: end one first", maxScriptsPerUID, c.uid, maxScripts))
	}
	defer s.scripts.places.release(c.uid)
	return finishedTrace(ctx, s.runScript(ctx, c, req, stream.Send))
}

// mayTrace: the gate has let in whoever may run some tool.
func (s *Server) mayTrace(c caller, req *skepv1.TraceRequest) error {
	if s.deps.Tracer == nil {
		return connect.NewError(connect.CodeUnimplemented, errors.New("this agent runs no scripts"))
	}
	need := skepv1.Role_ROLE_ADMIN
	if req.GetTool() != "" {
		role, ok := s.deps.Tracer.ToolRole(req.GetTool())
		if !ok {
			return connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no tool %q", cut(req.GetTool(), maxAuditMethod)))
		}
		// What the tool does not know of is more than the tool: what it may change, what it may
		// take of the host, by limits or settings, and who may read what it counts.
		if !req.GetUnsafe() && !req.GetMetrics() && proto.Size(req.GetLimits()) == 0 && len(req.GetSettings()) == 0 {
			need = role
		}
	}
	if c.role < need {
		return s.roles.refusal(c, need)
	}
	return nil
}

// ListTools implements the AgentService. An agent that runs no scripts has no tools.
func (s *Server) ListTools(context.Context, *skepv1.ListToolsRequest) (*skepv1.ListToolsResponse, error) {
	if s.deps.Tracer == nil {
		return &skepv1.ListToolsResponse{}, nil
	}
	all, err := s.deps.Tracer.Tools()
	return &skepv1.ListToolsResponse{Tools: all}, err
}

func checkTrace(req *skepv1.TraceRequest) error {
	sources := 0
	for _, text := range []string{req.GetScript(), req.GetTool(), req.GetPattern()} {
		if text != "" {
			sources++
		}
	}
	listing := req.GetMode() == skepv1.TraceMode_TRACE_MODE_LIST
	timeout := req.GetTimeout()
	switch {
	case skepv1.TraceMode_name[int32(req.GetMode())] == "" || req.GetMode() == 0:
		return fmt.Errorf("mode: there is no mode %d", req.GetMode())
	case listing && (sources > 1 || req.GetTool() != ""), !listing && (sources != 1 || req.GetPattern() != ""):
		return errors.New("give a script or a tool, or a pattern to list the probes of: one of them")
	case len(req.GetScript()) > maxScriptBytes:
		return fmt.Errorf("script: has %d bytes, and may have %d", len(req.GetScript()), maxScriptBytes)
	case len(req.GetName()) > maxScriptName:
		return fmt.Errorf("name: has %d bytes, and may have %d", len(req.GetName()), maxScriptName)
	case len(req.GetArgs()) > maxScriptArgs:
		return fmt.Errorf("args: are %d, and may be %d", len(req.GetArgs()), maxScriptArgs)
	case timeout != nil && (timeout.CheckValid() != nil || timeout.AsDuration() <= 0 || timeout.AsDuration() > maxScriptTime):
		return fmt.Errorf("timeout: must be more than 0 and at most %v", maxScriptTime)
	}
	return nil
}

// runScript runs one until it ends, or nobody listens.
func (s *Server) runScript(ctx context.Context, c caller, req *skepv1.TraceRequest, send func(*skepv1.TraceResponse) error) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	one := &script{uid: c.uid, end: make(chan string, maxSignals+4), ended: run.Done()}
	id, remove := s.scripts.add(one)
	defer remove()
	defer context.AfterFunc(ctx, func() { one.abandon(ctx, stop) })()
	timeout := cmp.Or(req.GetTimeout().AsDuration(), maxScriptTime)
	defer time.AfterFunc(timeout, func() { one.ask(endTimeout) }).Stop()
	return s.deps.Tracer.Trace(run, req, one.end, func(events ...*skepv1.TraceEvent) error {
		for _, e := range events {
			if ready := e.GetReady(); ready != nil {
				ready.Id = id
			}
		}
		if run.Err() != nil {
			return run.Err()
		}
		return send(&skepv1.TraceResponse{Events: events})
	})
}

// abandon ends a script whose stream does: in peace only if it is the agent that stops.
func (s *script) abandon(stream context.Context, stop func()) {
	if errors.Is(context.Cause(stream), errStopping) {
		s.ask(endStopping)
		select {
		case <-s.ended:
		case <-time.After(endingTakes):
		}
	}
	stop()
}

// finishedTrace is how the stream of a script ends.
func finishedTrace(ctx context.Context, err error) error {
	var known *connect.Error
	switch {
	case errors.Is(err, ErrScript):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case err == nil, errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return finished(ctx, err)
	}
	return connect.NewError(connect.CodeFailedPrecondition, err)
}

// EndTrace implements the AgentService.
func (s *Server) EndTrace(ctx context.Context, req *skepv1.EndTraceRequest) (*skepv1.EndTraceResponse, error) {
	c := callerFrom(ctx)
	one := s.scripts.find(req.GetId())
	if one == nil || one.uid != c.uid && c.role < skepv1.Role_ROLE_ADMIN {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no script of that id runs: it has ended, or is another user's"))
	}
	switch name := req.GetSignal(); {
	case req.GetConfirmed():
		return &skepv1.EndTraceResponse{}, one.tell(ConfirmedReason)
	case len(name) > maxSignalName:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("signal: there is none with %d letters", len(name)))
	case name != "":
		return &skepv1.EndTraceResponse{}, one.tell(SignalReason + name)
	}
	one.ask(endAsked)
	return &skepv1.EndTraceResponse{}, nil
}
