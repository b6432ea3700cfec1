// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// caller is who makes a call, for one call.
type caller struct {
	uid  uint32
	user string
	role skepv1.Role
	// token is set where a token says all that, and not the peer itself.
	token *token
	peer  peer
}

type callerKey struct{}

func callerFrom(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// gate decides about a call before its message is read.
func (s *Server) gate(ctx context.Context, spec connect.Spec, _ connect.Peer, header http.Header) (context.Context, error) {
	c, err := s.identify(ctx, header)
	if err == nil {
		err = s.allow(c, spec.Procedure)
	}
	if err != nil {
		s.audit.refused(c, spec.Procedure, err)
		s.calls.add(spec.Procedure, err)
		return nil, err
	}
	return context.WithValue(ctx, callerKey{}, c), nil
}

// identify finds out who calls. A token that is sent must be good: falling
// back to the peer would give the bearer of a bad one the peer's rights.
func (s *Server) identify(ctx context.Context, header http.Header) (caller, error) {
	p, ok := peerFrom(ctx)
	if !ok {
		return caller{}, connect.NewError(connect.CodeUnauthenticated, errors.New("the connection has no peer credentials"))
	}
	c := caller{uid: p.uid, user: s.roles.name(p.uid), peer: p}
	authorization := header.Values("Authorization")
	if len(authorization) == 0 {
		c.role = s.roles.of(p)
		return c, nil
	}
	scheme, bearer, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return c, connect.NewError(connect.CodeUnauthenticated, errors.New(`the Authorization header is not one "Bearer" token`))
	}
	tok, err := s.tokens.verify(strings.TrimSpace(bearer))
	if err != nil {
		return c, connect.NewError(connect.CodeUnauthenticated, err)
	}
	return caller{uid: tok.uid, user: s.roles.name(tok.uid), role: tok.role, token: &tok, peer: p}, nil
}

func (s *Server) allow(c caller, procedure string) error {
	need, ok := required[procedure]
	if !ok {
		return connect.NewError(connect.CodePermissionDenied, errors.New("no role is known to be enough for "+procedure))
	}
	if c.role < need {
		return s.roles.refusal(c, need)
	}
	return nil
}

// watch is the interceptor that logs and counts the calls that the gate let in.
type watch struct{ server *Server }

// WrapUnary implements connect.Interceptor.
func (w watch) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		call := w.server.audit.begin(callerFrom(ctx), req.Spec().Procedure)
		call.request(req.Any())
		res, err := next(ctx, req)
		call.done(err)
		w.server.calls.add(call.procedure, err)
		return res, err
	}
}

// WrapStreamingClient implements connect.Interceptor; there are no clients here.
func (w watch) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (w watch) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		call := w.server.audit.begin(callerFrom(ctx), conn.Spec().Procedure)
		err := next(ctx, &watchedConn{conn, call})
		call.ended(err)
		w.server.calls.add(call.procedure, err)
		return err
	}
}

// watchedConn logs the start of a stream once its request is known.
type watchedConn struct {
	connect.StreamingHandlerConn
	call *call
}

// Receive implements connect.StreamingHandlerConn.
func (c *watchedConn) Receive(message any) error {
	err := c.StreamingHandlerConn.Receive(message)
	if err == nil {
		c.call.request(message)
		c.call.started()
	}
	return err
}

// tokenTTL checks what CreateToken is asked for.
func tokenTTL(req *skepv1.CreateTokenRequest) (time.Duration, error) {
	if req.GetTtl() == nil {
		return defaultTokenTTL, nil
	}
	ttl := req.GetTtl().AsDuration()
	if req.GetTtl().CheckValid() != nil || ttl < time.Second || ttl > maxTokenTTL {
		return 0, connect.NewError(connect.CodeInvalidArgument, errors.New("ttl must be between 1s and 24h"))
	}
	return ttl, nil
}
