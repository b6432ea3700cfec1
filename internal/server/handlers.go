// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// GetStatus implements the AgentService.
func (s *Server) GetStatus(context.Context, *skepv1.GetStatusRequest) (*skepv1.GetStatusResponse, error) {
	return s.status(), nil
}

func (s *Server) status() *skepv1.GetStatusResponse {
	status := s.deps.Status()
	for _, c := range s.deps.Log.Cursors() {
		status.Subscribers = append(status.Subscribers, &skepv1.Subscriber{
			Id: c.ID, Who: c.Who, Filter: c.Filter, Since: timestamppb.New(c.Since),
			Delivered: c.Delivered, Lost: c.Lost,
		})
	}
	return status
}

// GetDoctor implements the AgentService.
func (s *Server) GetDoctor(context.Context, *skepv1.GetDoctorRequest) (*skepv1.GetDoctorResponse, error) {
	return s.deps.Doctor(), nil
}

// GetDiagnostics implements the AgentService.
func (s *Server) GetDiagnostics(context.Context, *skepv1.GetDiagnosticsRequest) (*skepv1.GetDiagnosticsResponse, error) {
	return s.deps.Diagnostics(), nil
}

// GetProcess implements the AgentService.
func (s *Server) GetProcess(ctx context.Context, req *skepv1.GetProcessRequest) (*skepv1.GetProcessResponse, error) {
	if (req.GetId() == "") == (req.GetPid() == 0) {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("give a process_id or exec_id, or the pid of a live process: one of the two"))
	}
	s.catchUp(ctx)
	res, ok := s.deps.Processes.Get(req.GetId(), req.GetPid())
	if !ok && req.GetId() != "" {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no process has the id %q, or it exited too long ago", req.GetId()))
	}
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no live process has the pid %d", req.GetPid()))
	}
	return res, nil
}

// GetIdentity implements the AgentService.
func (s *Server) GetIdentity(ctx context.Context, _ *skepv1.GetIdentityRequest) (*skepv1.GetIdentityResponse, error) {
	c := callerFrom(ctx)
	res := &skepv1.GetIdentityResponse{Uid: c.uid, User: c.user, Role: c.role}
	if c.token != nil {
		res.ByToken, res.Expires = true, timestamppb.New(c.token.expires)
	}
	return res, nil
}

// CreateToken implements the AgentService. A token cannot make tokens, or its
// expiry would mean nothing.
func (s *Server) CreateToken(ctx context.Context, req *skepv1.CreateTokenRequest) (*skepv1.CreateTokenResponse, error) {
	c := callerFrom(ctx)
	if c.token != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("a token cannot make another token"))
	}
	role := req.GetRole()
	if role == skepv1.Role_ROLE_UNSPECIFIED {
		role = skepv1.Role_ROLE_VIEW
	}
	if role < 0 || role > skepv1.Role_ROLE_ADMIN {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("there is no role %d", role))
	}
	if role > c.role {
		return nil, connect.NewError(connect.CodePermissionDenied,
			fmt.Errorf("%s has role %s and cannot give away %s", c.user, roleName(c.role), roleName(role)))
	}
	ttl, err := tokenTTL(req)
	if err != nil {
		return nil, err
	}
	text, tok := s.tokens.issue(c.uid, role, ttl)
	return &skepv1.CreateTokenResponse{Token: text, Role: role, Expires: timestamppb.New(tok.expires)}, nil
}
