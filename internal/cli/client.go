// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/reach"
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
	// conn is the connection to the agent of another host, if it is one.
	conn reach.Conn
	// private is true for an agent that was started for this command, and so
	// has no past.
	private   bool
	transport *http.Transport
}

// newClient connects lazily. Each unary call gets the timeout, streams do not; after as
// long a silence a ping, which gets it too, finds an agent that has stopped answering them.
func newClient(socket string, timeout time.Duration) *client {
	dialer := net.Dialer{Timeout: timeout}
	return clientOf(timeout, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	})
}

// maxRemoteMessage bounds what an agent of another host can make us hold: its
// largest answer, a full process table, is about 25 MiB by default.
const maxRemoteMessage = 64 << 20

// newRemote connects to the agent of another host. When that connection has
// ended, so has the client.
func newRemote(ctx context.Context, h reach.Host, o reach.Options) (*client, error) {
	conn, err := h.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	once := make(chan net.Conn, 1)
	once <- conn
	c := clientOf(o.Timeout, func(context.Context, string, string) (net.Conn, error) {
		select {
		case conn := <-once:
			return conn, nil
		default:
			return nil, errors.New("the connection has ended")
		}
	}, connect.WithReadMaxBytes(maxRemoteMessage))
	c.conn = conn
	return c, nil
}

func clientOf(timeout time.Duration, dial func(ctx context.Context, _, _ string) (net.Conn, error), more ...connect.ClientOption) *client {
	t := &http.Transport{
		DialContext:            dial,
		MaxResponseHeaderBytes: 64 << 10, // an agent's own are a few hundred
		Protocols:              new(http.Protocols),
		// A batch of records in one frame: each costs the agent a round through two goroutines.
		HTTP2:              &http.HTTP2Config{SendPingTimeout: timeout, PingTimeout: timeout, MaxReadFrameSize: 256 << 10},
		DisableCompression: true,
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	// Compression would only burn CPU on a unix socket, and ssh has its own.
	options := append(more, connect.WithInterceptors(deadline(timeout)), connect.WithAcceptCompression("gzip", nil, nil))
	return &client{
		AgentServiceClient: skepv1connect.NewAgentServiceClient(&http.Client{Transport: t}, "http://skepd", options...),
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

func (c *client) close() {
	c.transport.CloseIdleConnections()
	if c.conn != nil {
		c.conn.Close()
	}
}

// probe says whether somebody listens on the socket; the error is the dial's.
func probe(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}
