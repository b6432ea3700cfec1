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

// gate decides about a call before its message is read.
func (s *Server) gate(ctx context.Context, spec connect.Spec, _ connect.Peer, header http.Header) (context.Context, error) {
	call := callFrom(ctx)
	err := s.identify(ctx, &call.caller, header)
	if err == nil {
		err = s.allow(call.caller, spec.Procedure)
	}
	if err != nil {
		call.ended("refused", err)
	}
	return ctx, err
}

// identify finds out who calls. A token that is sent must be good: falling
// back to the peer would give the bearer of a bad one the peer's rights.
func (s *Server) identify(ctx context.Context, c *caller, header http.Header) error {
	conn := connFrom(ctx)
	if conn == nil {
		return connect.NewError(connect.CodeUnauthenticated, errors.New("the connection has no peer credentials"))
	}
	authorization := header.Values("Authorization")
	if len(authorization) == 0 {
		return nil
	}
	c.role = skepv1.Role_ROLE_UNSPECIFIED
	scheme, bearer, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return connect.NewError(connect.CodeUnauthenticated, errors.New(`the Authorization header is not one "Bearer" token`))
	}
	tok, err := s.tokens.verify(strings.TrimSpace(bearer))
	if err != nil {
		return connect.NewError(connect.CodeUnauthenticated, err)
	}
	conn.trust()
	*c = caller{uid: tok.uid, user: s.roles.name(tok.uid), role: tok.role, token: &tok, peer: conn.peer, member: c.member}
	return nil
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

// watch is the interceptor that tells of the calls that the gate let in.
type watch struct{}

// WrapUnary implements connect.Interceptor.
func (watch) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		call := callFrom(ctx)
		call.request(req.Any())
		res, err := next(ctx, req)
		call.ended("call", err)
		return res, err
	}
}

// WrapStreamingClient implements connect.Interceptor; there are no clients here.
func (watch) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (watch) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		call := callFrom(ctx)
		err := next(ctx, &watchedConn{conn, call})
		call.ended("end", err)
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
