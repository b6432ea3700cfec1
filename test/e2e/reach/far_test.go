// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// farEnv makes the test binary the far end of a connection, one that means harm.
const farEnv = "SKEP_REACH_TEST_FAR"

// far is a host on which skep is the test binary.
func (n *network) far(name, how string) *host {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	return n.sshd(name, "ForceCommand exec "+self, "SetEnv "+farEnv+"="+how)
}

// farEnd greets as skep does, and then misbehaves.
func farEnd(how string) int {
	io.WriteString(os.Stdout, "skep stdio 1\n")
	switch how {
	case "babble": // what is no HTTP/2
		for {
			if _, err := os.Stdout.Write(bytes.Repeat([]byte("\x1b[31mPAR1\xff\x00"), 1000)); err != nil {
				return 1
			}
		}
	case "stop": // in the middle of a call
		io.CopyN(io.Discard, os.Stdin, 24)
		io.WriteString(os.Stderr, "\x1b[2Jenough of this\n")
		return 9
	}
	serveStdio(&fake{how: how})
	return 0
}

// fake is an agent that means harm.
type fake struct {
	skepv1connect.UnimplementedAgentServiceHandler
	how string
}

func (f *fake) GetIdentity(context.Context, *skepv1.GetIdentityRequest) (*skepv1.GetIdentityResponse, error) {
	return &skepv1.GetIdentityResponse{User: strings.Repeat("x", 100<<20)}, nil
}

// Observe claims to be another host, and to have a terminal's attention.
func (f *fake) Observe(ctx context.Context, _ *skepv1.ObserveRequest, s *connect.ServerStream[skepv1.ObserveResponse]) error {
	if f.how == "freeze" {
		return freeze(s)
	}
	const evil = "alpha\x1b[2J\r\n{\"host\":\"alpha\"}\nskep: alpha: \u202e"
	r := &skepv1.Record{NodeName: evil, Kind: evil, Process: &skepv1.Process{Pid: 1, Comm: evil},
		Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{Args: []string{evil}}}}
	if err := s.Send(&skepv1.ObserveResponse{Records: []*skepv1.Record{r}, SampledOut: 1}); err != nil {
		return err
	}
	return connect.NewError(connect.CodeInternal, &text{evil + strings.Repeat("y", 1<<20)})
}

// freeze sends one record, and then stands still with all of its process, as a host does
// whose disk or memory has gone.
func freeze(s *connect.ServerStream[skepv1.ObserveResponse]) error {
	r := &skepv1.Record{Kind: "exec", Process: &skepv1.Process{Pid: 1}, Body: &skepv1.Record_Exec{Exec: &skepv1.Exec{}}}
	if err := s.Send(&skepv1.ObserveResponse{Records: []*skepv1.Record{r}}); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // it is on its way
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	select {} // another thread may take the signal, and this one go on
}

type text struct{ s string }

func (t *text) Error() string { return t.s }

// serveStdio serves one connection, which is the standard streams.
func serveStdio(f *fake) {
	mux := http.NewServeMux()
	mux.Handle(skepv1connect.NewAgentServiceHandler(f))
	srv := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	near, far := net.Pipe()
	go srv.Serve(&oneConn{conn: far})
	go func() {
		io.Copy(near, os.Stdin)
		near.Close()
	}()
	io.Copy(os.Stdout, near)
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	time.Sleep(time.Hour) // the process ends first
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "stdio", Net: "unix"} }
