// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

var errStopping = errors.New("the agent is stopping")

// shutdownGrace is how long calls get to end when the agent stops.
const shutdownGrace = 3 * time.Second

// Handler is the API over HTTP/1.1 and HTTP/2 (Connect, gRPC, gRPC-Web). It
// refuses every request whose connection does not come from Listen.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(skepv1connect.NewAgentServiceHandler(s,
		connect.WithRequestGate(s.gate),
		connect.WithInterceptors(watch{}),
		connect.WithCodec(codec{}),
		connect.WithCodec(jsonCodec("json")),
		connect.WithCodec(jsonCodec("json; charset=utf-8")),
		connect.WithReadMaxBytes(maxRequestBytes),
		// The other end is on this machine: compressing would only cost.
		connect.WithCompression("gzip", nil, nil),
	))
	return s.watched(s.bound(mux))
}

// Serve answers calls on listeners made by Listen and ListenTLS until ctx is done
// or one of them fails. It closes them.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(errStopping)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           s.Handler(),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreamsPerConn},
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withPeer,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.deps.Logger.Handler(), slog.LevelDebug),
	}
	var summaries sync.WaitGroup
	summaries.Go(func() { s.audit.run(base) })
	doors := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		doors[i] = door{l, s.admission}
		if l, ok := l.(*tlsListener); ok {
			s.tls.Store(l)
		}
	}
	err := serveUntil(ctx, server, func() { stop(errStopping) }, doors...)
	stop(errStopping)
	summaries.Wait()
	s.audit.summarise(true)
	return err
}

// serveUntil runs a server until ctx is done; stop tells its streams to end.
func serveUntil(ctx context.Context, server *http.Server, stop func(), listeners ...net.Listener) error {
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- fmt.Errorf("serve on %s: %w", l.Addr(), server.Serve(l)) }()
	}
	select {
	case err := <-failed:
		server.Close()
		return err
	case <-ctx.Done():
	}
	stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	for range listeners {
		<-failed
	}
	return nil
}

// watched makes every request a call, and sees to it that none ends untold.
func (s *Server) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := s.begin(r)
		call.control = http.NewResponseController(w)
		answer := &reply{ResponseWriter: w, call: call}
		defer answer.tell()
		next.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), callKey{}, call)))
	})
}

// bound gives every request a time by which it must have been read, and every
// call that is not a stream one by which its answer must have been, and one of
// its user's places until then.
func (s *Server) bound(next http.Handler) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// net/http lifts it when the body has been read, so a stream may last.
		control.SetReadDeadline(time.Now().Add(s.requestTimeout))
		if !streaming[r.URL.Path] {
			p, _ := peerFrom(r.Context())
			if !s.inFlight.acquire(p.uid) {
				refuse.Write(w, r, connect.NewError(connect.CodeResourceExhausted,
					fmt.Errorf("uid %d has %d calls under way, which is the limit: wait for one to end", p.uid, maxCallsPerUID)))
				return
			}
			defer s.inFlight.release(p.uid)
			control.SetWriteDeadline(time.Now().Add(s.answerTimeout))
			defer control.SetWriteDeadline(time.Time{}) // with HTTP/1 it is the connection's
		}
		next.ServeHTTP(w, r)
	})
}

// clocks reads the two clocks that a record carries.
func clocks() (wall *timestamppb.Timestamp, bootNS uint64) {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail with this clock and a valid pointer
	return timestamppb.Now(), uint64(ts.Nano())
}
