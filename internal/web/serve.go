// SPDX-License-Identifier: Apache-2.0

// Package web serves skep's page and lets it talk to the agent.
//
// Problem: a browser cannot open a unix socket, and a page on a port of
// localhost can be reached by every other page the user has open, and by every
// other user of the host.
//
// Mechanism: an unprivileged process serves the embedded files and forwards a
// fixed list of read-only calls to the agent's socket. It holds no right of
// its own worth stealing: each forwarded call carries the user's short-lived
// token, kept in an HttpOnly cookie that only this origin's requests bring.
//
// Invariants: no request passes guard with a foreign Host, Origin or fetch
// site; nothing but the login answers without a token that the agent accepted;
// no token is ever written to the log or into a URL that this server answers
// with content.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/skep-io/skep/web"
)

// Options say where to listen and which agent to serve.
type Options struct {
	// Listen is host:port; the host must be a loopback address or "localhost"
	// unless AllowRemote is set.
	Listen string
	// Socket is the path of the agent's unix socket.
	Socket string
	Logger *slog.Logger
	// AllowRemote permits listening on other addresses. The page then travels
	// in clear text: put TLS in front of it.
	AllowRemote bool
	// Hosts are further Host headers to accept: "name" means that name with
	// the port of Listen or with none, "name:port" exactly that.
	Hosts []string
	// Ready, if set, is called with the address once the server listens.
	Ready func(net.Addr)
}

const (
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 3 * time.Second
	maxHeader     = 16 << 10
	maxBody       = 64 << 10
	maxStreams    = 64
	maxSessions   = 1024
	recheckPeriod = time.Minute
)

// Serve serves the page until ctx ends; that is no error.
func Serve(ctx context.Context, o Options) error {
	if err := checkListen(o); err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for the page on %s: %w; choose another address with --listen", o.Listen, err)
	}
	handler, err := newHandler(o, ln.Addr())
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if o.Ready != nil {
		o.Ready(ln.Addr())
	}
	return run(ctx, ln, handler, o.Logger)
}

func run(ctx context.Context, ln net.Listener, handler http.Handler, log *slog.Logger) error {
	// Streams end with this context, or Shutdown would wait for them.
	streams, stop := context.WithCancel(context.Background())
	defer stop()
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return streams },
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the page on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	stop()
	limit, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		return errors.Join(fmt.Errorf("stop the page's server: %w", err), srv.Close())
	}
	return nil
}

// newHandler wires the server in the order a request passes it: headers,
// guard, login, session, then files or the agent.
func newHandler(o Options, addr net.Addr) (http.Handler, error) {
	files, err := web.Files()
	if err != nil {
		return nil, fmt.Errorf("open the embedded page: %w", err)
	}
	agent := newAgent(o.Socket)
	auth := newSessions(agent, addr)
	mux := http.NewServeMux()
	mux.Handle(servicePath, auth.require(newProxy(agent, o.Logger), refuseCall))
	mux.Handle("/", auth.login(auth.require(newStatic(files), refusePage), o.Logger))
	return secure(newGuard(o, addr).wrap(mux)), nil
}

func checkListen(o Options) error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("read the listen address %q: %w; give host:port, such as 127.0.0.1:7537", o.Listen, err)
	}
	if o.AllowRemote || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("listen for the page on %s: not a loopback address, and the page has no TLS; "+
		"use 127.0.0.1 and an ssh tunnel, or --allow-remote to serve it in clear text", o.Listen)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
