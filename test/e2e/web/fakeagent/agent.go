// SPDX-License-Identifier: Apache-2.0

// Package fakeagent is an AgentService that invents a busy small host: for
// tests of the page, its screenshots, and its development. Nothing of it ships.
package fakeagent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// Token is the one that the fake agent accepts.
const Token = "fake-token-for-tests"

// Options shape the invented host.
type Options struct {
	// Rate is how many events a second happen.
	Rate int
	// Processes is how many processes idle beside the interesting ones.
	Processes int
	// Loss makes a ring overflow now and then.
	Loss bool
	// Past is how far back the agent remembers when it is made.
	Past time.Duration
	// Unsampled ignores max_rate: every event reaches the page.
	Unsampled bool
}

// Agent is the fake. Its zero value is not usable: call New.
type Agent struct {
	skepv1connect.UnimplementedAgentServiceHandler
	opts    Options
	started time.Time
	rng     *rand.Rand

	mu        sync.Mutex
	table     []*skepv1.ProcessInfo
	conns     []*skepv1.ConnectionInfo
	gone      map[string]*skepv1.ProcessInfo
	received  map[string]uint64
	lost      uint64
	log       []*skepv1.Record
	followers map[chan *skepv1.Record]*uint64
	nextPid   uint32
	at        time.Time // of what is published; zero: now
	cast      int       // how many of the table are there from the start
}

// New builds the host; Run brings it to life.
func New(o Options) *Agent {
	a := &Agent{opts: o, started: time.Now().Add(-26 * time.Hour), rng: rand.New(rand.NewPCG(7, 7)),
		gone: map[string]*skepv1.ProcessInfo{}, received: map[string]uint64{},
		followers: map[chan *skepv1.Record]*uint64{}, nextPid: 20000}
	a.populate()
	if o.Past > 0 {
		a.before()
	}
	return a
}

// Serve answers on a unix socket until ctx ends.
func (a *Agent) Serve(ctx context.Context, socket string) error {
	_ = os.Remove(socket)
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", socket, err)
	}
	mux := http.NewServeMux()
	mux.Handle(skepv1connect.NewAgentServiceHandler(a, connect.WithInterceptors(bearer{})))
	srv := &http.Server{Handler: mux, Protocols: new(http.Protocols),
		BaseContext: func(net.Listener) context.Context { return ctx }}
	srv.Protocols.SetUnencryptedHTTP2(true)
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	go a.live(ctx)
	if err := srv.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

// live makes things happen, in ticks of 20 ms.
func (a *Agent) live(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	begin, done := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := int(time.Since(begin).Seconds() * float64(a.opts.Rate))
		for ; done < due; done++ {
			a.step()
		}
	}
}

// Publish gives a record its number and hands it to those who follow.
func (a *Agent) Publish(r *skepv1.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.publish(r)
}

func (a *Agent) publish(r *skepv1.Record) {
	now := a.at
	if now.IsZero() {
		now = time.Now()
	}
	a.received[r.Kind]++
	r.NodeId, r.BootId, r.NodeName = nodeID, bootID, "osprey"
	r.Seq, r.Time, r.BootNs = a.received[r.Kind], timestamppb.New(now), uint64(now.Sub(a.started))
	a.log = append(a.log, r)
	if len(a.log) > 20000 {
		a.log = append([]*skepv1.Record(nil), a.log[10000:]...)
	}
	for ch, dropped := range a.followers {
		select {
		case ch <- r:
		default:
			*dropped++
		}
	}
}

func (a *Agent) GetIdentity(context.Context, *skepv1.GetIdentityRequest) (*skepv1.GetIdentityResponse, error) {
	return &skepv1.GetIdentityResponse{Uid: 1000, User: "ada", Role: skepv1.Role_ROLE_VIEW, ByToken: true,
		Expires: timestamppb.New(time.Now().Add(8 * time.Hour))}, nil
}

func (a *Agent) uptime() *durationpb.Duration { return durationpb.New(time.Since(a.started)) }

// bearer lets in who has the Token.
type bearer struct{}

func (bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if err := accept(r.Header()); err != nil {
			return nil, err
		}
		return next(ctx, r)
	}
}

func (bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) error {
		if err := accept(c.RequestHeader()); err != nil {
			return err
		}
		return next(ctx, c)
	}
}

func accept(h http.Header) error {
	if h.Get("Authorization") != "Bearer "+Token {
		return connect.NewError(connect.CodeUnauthenticated, fmt.Errorf("token not known or expired"))
	}
	return nil
}
