// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Installer keeps scripts that stay in the agent.
type Installer interface {
	// Install starts a script and keeps it, for a user. What is wrong in the script is in the
	// response, which then has no script.
	Install(ctx context.Context, uid uint32, req *skepv1.InstallTraceRequest) (*skepv1.InstallTraceResponse, error)
	// List returns fresh messages, by name.
	List() []*skepv1.InstalledTrace
	// Logs gives send what a script has said, and if it is to follow what it says, until ctx
	// is done or the script is removed.
	Logs(ctx context.Context, req *skepv1.TraceLogsRequest, send func(*skepv1.TraceLogsResponse) error) error
	// Remove ends a script in peace if it can, and forgets it.
	Remove(ctx context.Context, name string) error
}

// Errors of an Installer.
var (
	ErrInstalled    = errors.New("there is an installed script of that name: remove it first")
	ErrNotInstalled = errors.New("no script of that name is installed")
	ErrTooMany      = errors.New("as many scripts are installed as may be: remove one first")
)

const maxInstalledName = 64

var installedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// InstalledName tells whether an installed script may be called so.
func InstalledName(name string) bool {
	return len(name) <= maxInstalledName && installedName.MatchString(name)
}

// installer is for one call.
func (s *Server) installer(name string) (Installer, error) {
	switch {
	case s.deps.Installer == nil:
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this agent keeps no scripts"))
	case !InstalledName(name):
		return nil, connect.NewError(connect.CodeInvalidArgument,
			errors.New(`name: must be at most 64 letters, digits, "-", "_" and ".", the first a letter or a digit`))
	}
	return s.deps.Installer, nil
}

// InstallTrace implements the AgentService.
func (s *Server) InstallTrace(ctx context.Context, req *skepv1.InstallTraceRequest) (*skepv1.InstallTraceResponse, error) {
	c := callerFrom(ctx)
	installer, err := s.installer(req.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.checkInstall(req.GetTrace()); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	res, err := installer.Install(ctx, c.uid, req)
	return res, installerError(err)
}

func (s *Server) checkInstall(t *skepv1.TraceRequest) error {
	switch {
	case t.GetMode() != skepv1.TraceMode_TRACE_MODE_RUN:
		return errors.New("trace: mode: a script that is installed is run")
	case t.GetPid() != 0, t.GetCommandPid() != 0:
		return errors.New("trace: a script outlives the processes that are there now: pid and command_pid are not for one that is installed")
	case t.GetTimeout() != nil:
		return errors.New("trace: timeout: a script that is installed runs until it is removed")
	}
	if err := checkTrace(t); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	if tool := t.GetTool(); tool != "" {
		if _, ok := s.deps.Tracer.ToolRole(tool); !ok {
			return fmt.Errorf("trace: there is no tool %q", cut(tool, maxAuditMethod))
		}
	}
	return nil
}

func installerError(err error) error {
	var known *connect.Error
	code := connect.CodeFailedPrecondition
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, ErrInstalled):
		code = connect.CodeAlreadyExists
	case errors.Is(err, ErrNotInstalled):
		code = connect.CodeNotFound
	case errors.Is(err, ErrTooMany):
		code = connect.CodeResourceExhausted
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	}
	return connect.NewError(code, err)
}

// ListTraces implements the AgentService.
func (s *Server) ListTraces(context.Context, *skepv1.ListTracesRequest) (*skepv1.ListTracesResponse, error) {
	if s.deps.Installer == nil {
		return &skepv1.ListTracesResponse{}, nil
	}
	return &skepv1.ListTracesResponse{Traces: s.deps.Installer.List()}, nil
}

// TraceLogs implements the AgentService.
func (s *Server) TraceLogs(ctx context.Context, req *skepv1.TraceLogsRequest, stream *connect.ServerStream[skepv1.TraceLogsResponse]) error {
	c := callerFrom(ctx)
	installer, err := s.installer(req.GetName())
	if err != nil {
		return err
	}
	if !s.streams.acquire(c.uid) {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("uid %d has %d streams, which is the limit: end one first", c.uid, maxStreamsPerUID))
	}
	defer s.streams.release(c.uid)
	err = installer.Logs(ctx, req, stream.Send)
	if ctx.Err() != nil {
		return finished(ctx, err)
	}
	return installerError(err)
}

// RemoveTrace implements the AgentService.
func (s *Server) RemoveTrace(ctx context.Context, req *skepv1.RemoveTraceRequest) (*skepv1.RemoveTraceResponse, error) {
	installer, err := s.installer(req.GetName())
	if err != nil {
		return nil, err
	}
	if err := installer.Remove(ctx, req.GetName()); err != nil {
		return nil, installerError(err)
	}
	return &skepv1.RemoveTraceResponse{}, nil
}
