// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// agent is the skepd behind the socket.
type agent struct {
	socket    string
	transport *http.Transport
	client    skepv1connect.AgentServiceClient
}

const agentURL = "http://skepd"

func newAgent(socket string) *agent {
	a := &agent{socket: socket, transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", socket)
		},
		Protocols:          new(http.Protocols),
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second, MaxReadFrameSize: 256 << 10},
		DisableCompression: true,
	}}
	// HTTP/2 without TLS: one connection carries every stream of every tab.
	a.transport.Protocols.SetUnencryptedHTTP2(true)
	a.client = skepv1connect.NewAgentServiceClient(&http.Client{Transport: a.transport}, agentURL)
	return a
}

// verify asks the agent whether it accepts the token, and until when.
func (a *agent) verify(ctx context.Context, token string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ctx, call := connect.NewClientContext(ctx)
	call.RequestHeader().Set("Authorization", "Bearer "+token)
	who, err := a.client.GetIdentity(ctx, &skepv1.GetIdentityRequest{})
	if err != nil {
		return time.Time{}, a.explain(err)
	}
	// Without the token we are this server's uid, which has a role too: an
	// agent that overlooked the token must not open the page.
	if !who.GetByToken() || who.GetRole() < skepv1.Role_ROLE_VIEW {
		return time.Time{}, connect.NewError(connect.CodeUnauthenticated, errors.New("the agent did not accept the token"))
	}
	expires := who.GetExpires().AsTime()
	if !expires.After(time.Now()) {
		return time.Time{}, connect.NewError(connect.CodeUnauthenticated, errors.New("the token has expired"))
	}
	return expires, nil
}

// explain turns what a call failed with into what the user should read: a
// refused token, or an agent that is not there.
func (a *agent) explain(err error) error {
	switch connect.CodeOf(err) {
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return connect.NewError(connect.CodeUnauthenticated, errors.New("the agent did not accept the token"))
	}
	return connect.NewError(connect.CodeUnavailable, fmt.Errorf("agent not reachable at %s: %w", a.socket, err))
}
