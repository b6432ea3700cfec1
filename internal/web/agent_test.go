// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

const goodToken = "skep_Zm9vYmFy-token.1"

// fakeAgent records what reaches it.
type fakeAgent struct {
	skepv1connect.UnimplementedAgentServiceHandler
	mu      sync.Mutex
	headers []http.Header
	paths   []string
	protos  []int
	revoked bool
	// byPeer answers with the caller's own role, as an agent would that overlooked the token.
	byPeer  bool
	expires time.Time
	// next lets Observe send one more message.
	next chan struct{}
}

func (f *fakeAgent) GetIdentity(context.Context, *skepv1.GetIdentityRequest) (*skepv1.GetIdentityResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &skepv1.GetIdentityResponse{Role: skepv1.Role_ROLE_VIEW, ByToken: !f.byPeer, Expires: timestamppb.New(f.expires)}, nil
}

func (f *fakeAgent) GetStatus(context.Context, *skepv1.GetStatusRequest) (*skepv1.GetStatusResponse, error) {
	return &skepv1.GetStatusResponse{Version: "fake"}, nil
}

func (f *fakeAgent) CreateToken(context.Context, *skepv1.CreateTokenRequest) (*skepv1.CreateTokenResponse, error) {
	return &skepv1.CreateTokenResponse{Token: "stolen"}, nil
}

func (f *fakeAgent) Observe(ctx context.Context, _ *skepv1.ObserveRequest, s *connect.ServerStream[skepv1.ObserveResponse]) error {
	for i := uint64(1); ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-f.next:
		}
		if err := s.Send(&skepv1.ObserveResponse{SampledOut: i}); err != nil {
			return err
		}
	}
}

// record notes every request, and refuses those without the token.
func (f *fakeAgent) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.headers, f.paths, f.protos = append(f.headers, r.Header.Clone()), append(f.paths, r.URL.String()), append(f.protos, r.ProtoMajor)
		good := r.Header.Get("Authorization") == "Bearer "+goodToken && !f.revoked
		f.mu.Unlock()
		if !good {
			_ = connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodeUnauthenticated, errors.New("token not known")))
			return
		}
		w.Header().Set("Set-Cookie", "agent=1")
		next.ServeHTTP(w, r)
	})
}

// reset forgets what was recorded so far.
func (f *fakeAgent) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers, f.paths, f.protos = nil, nil, nil
}

func (f *fakeAgent) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// fixture is a running page server with its fake agent.
type fixture struct {
	agent *fakeAgent
	addr  string
	log   *syncBuffer
	// stopAgent ends the agent, as a crash would.
	stopAgent func()
	// stop ends Serve; done has its result.
	stop context.CancelFunc
	done chan error
}

func newFixture(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{agent: &fakeAgent{next: make(chan struct{}), expires: time.Now().Add(time.Hour)}, log: &syncBuffer{}, done: make(chan error, 1)}
	socket := filepath.Join(t.TempDir(), "s.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(skepv1connect.NewAgentServiceHandler(f.agent))
	srv := &http.Server{Handler: f.agent.record(mux), Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(ln)
	f.stopAgent = func() { srv.Close() }
	t.Cleanup(f.stopAgent)
	f.serve(t, socket, change)
	return f
}

func (f *fixture) serve(t *testing.T, socket string, change func(*Options)) {
	ready := make(chan net.Addr, 1)
	o := Options{Listen: "127.0.0.1:0", Socket: socket, Ready: func(a net.Addr) { ready <- a },
		Logger: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	t.Cleanup(cancel)
	go func() { f.done <- Serve(ctx, o) }()
	select {
	case a := <-ready:
		f.addr = a.String()
	case err := <-f.done:
		t.Fatalf("serve: %v", err)
	}
}

func (f *fixture) cookieName() string {
	_, port, _ := net.SplitHostPort(f.addr)
	return "skep_" + port
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
