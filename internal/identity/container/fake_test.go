// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
)

// fakeRuntime serves gRPC or HTTP on a unix socket.
type fakeRuntime struct {
	socket string
	calls  atomic.Int64
	mux    *http.ServeMux
}

func newFake(t *testing.T) *fakeRuntime {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-fake-")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeRuntime{socket: filepath.Join(dir, "s"), mux: http.NewServeMux()}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.mux, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); _ = os.RemoveAll(dir) })
	return f
}

// unary answers a gRPC method; the id is field 1 of the request.
func (f *fakeRuntime) unary(method string, answer func(request message, h http.Header) (message, error)) {
	f.mux.Handle(method, connect.NewUnaryHandler(method, func(_ context.Context, r *connect.Request[message]) (*connect.Response[message], error) {
		f.calls.Add(1)
		m, err := answer(*r.Msg, r.Header())
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(&m), nil
	}, connect.WithCodec(rawCodec{})))
}

func grpcNotFound() error { return connect.NewError(connect.CodeNotFound, errNotFound) }

func waitFor(t *testing.T, what string, ch <-chan Meta) Meta {
	t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(10 * time.Second):
	}
	t.Fatalf("not within 10 s: %s", what)
	return Meta{}
}
