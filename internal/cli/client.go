// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/config"
)

const socketEnv = "SKEP_SOCKET"

func defaultSocket() string {
	if s := os.Getenv(socketEnv); s != "" {
		return s
	}
	return config.Default().Socket
}

// client talks to one agent.
type client struct {
	skepv1connect.AgentServiceClient
	socket string
	// private is true for an agent that was started for this command, and so
	// has no past.
	private   bool
	transport *http.Transport
}

// newClient connects lazily. Each unary call gets the timeout, streams do not;
// a ping finds an agent that has stopped answering them.
func newClient(socket string, timeout time.Duration) *client {
	dialer := net.Dialer{Timeout: timeout}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		Protocols:          new(http.Protocols),
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		DisableCompression: true,
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	limit := connect.WithInterceptors(deadline(timeout))
	// Compression would only burn CPU on a unix socket.
	plainText := connect.WithAcceptCompression("gzip", nil, nil)
	return &client{
		AgentServiceClient: skepv1connect.NewAgentServiceClient(&http.Client{Transport: t}, "http://skepd", limit, plainText),
		socket:             socket,
		transport:          t,
	}
}

func deadline(timeout time.Duration) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return next(ctx, req)
		}
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// probe says whether somebody listens on the socket; the error is the dial's.
func probe(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}
