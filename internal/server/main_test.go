// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/event"
)

// Numbers instead of names, so that no account has to be made for the tests.
const (
	viewGID    = 61001
	operateGID = 61002
	webUID     = 61003
	nobodyUID  = 61009
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(callAs); socket != "" {
		parts[os.Getenv(callPart)](socket)
		return
	}
	os.Exit(m.Run())
}

// agent is a server on a socket with tables that the test fills.
type agent struct {
	*Server
	log         *event.Log
	socket      string
	audit       *lines
	processes   []*skepv1.ProcessInfo
	connections []*skepv1.ConnectionInfo
	status      func() *skepv1.GetStatusResponse
	usage       *fakeUsage
	stop        func()
}

func startAgent(t testing.TB, change ...func(*Deps)) *agent {
	t.Helper()
	a := newAgent(t, change...)
	a.serve(t)
	return a
}

func newAgent(t testing.TB, change ...func(*Deps)) *agent {
	t.Helper()
	a := &agent{
		log: event.NewLog(event.LogOptions{Bytes: 1 << 20}), audit: &lines{},
		status: func() *skepv1.GetStatusResponse { return &skepv1.GetStatusResponse{Version: "test"} },
		usage:  &fakeUsage{},
	}
	key := make([]byte, 32)
	rand.Read(key)
	deps := Deps{
		Node: Node{ID: "node-1", BootID: "boot-1", Name: "host-1"}, Log: a.log, Processes: (*processTable)(a), Connections: (*connectionTable)(a), Usage: a.usage,
		Status: func() *skepv1.GetStatusResponse { return a.status() },
		Doctor: func() *skepv1.GetDoctorResponse { return &skepv1.GetDoctorResponse{Ok: true} },
		Diagnostics: func() *skepv1.GetDiagnosticsResponse {
			return &skepv1.GetDiagnosticsResponse{Config: "cluster: east\n"}
		},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Audit: a.audit, TokenKey: key,
		Roles: RoleConfig{ViewGroup: fmt.Sprint(viewGID), OperateGroup: fmt.Sprint(operateGID), WebUser: fmt.Sprint(webUID)},
	}
	for _, f := range change {
		f(&deps)
	}
	var err error
	if a.Server, err = New(deps); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agent) serve(t testing.TB) {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-server-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a.socket = filepath.Join(dir, "skep.sock")
	l, err := Listen(a.socket, a.deps.Logger)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, l) }()
	a.stop = sync.OnceFunc(func() {
		closeIdle(a.socket) // or it would wait for these clients for a second
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(a.stop)
}

// client speaks HTTP/2 without TLS to a unix socket, over a connection of its own.
func client(socket string) skepv1connect.AgentServiceClient {
	return skepv1connect.NewAgentServiceClient(httpClient(socket, false), "http://skep")
}

func httpClient(socket string, http1 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(http1)
	protocols.SetUnencryptedHTTP2(!http1)
	transport := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	clients.Lock()
	defer clients.Unlock()
	clients.of[socket] = append(clients.of[socket], transport)
	return &http.Client{Transport: transport}
}

// clients are those of each socket.
var clients = struct {
	sync.Mutex
	of map[string][]*http.Transport
}{of: map[string][]*http.Transport{}}

func closeIdle(socket string) {
	clients.Lock()
	defer clients.Unlock()
	for _, transport := range clients.of[socket] {
		transport.CloseIdleConnections()
	}
	delete(clients.of, socket)
}

type processTable agent

func (p *processTable) List(exited bool) (list []*skepv1.ProcessInfo) {
	for _, each := range p.processes {
		if exited || each.GetExited() == nil {
			list = append(list, each)
		}
	}
	return list
}

func (p *processTable) Get(id string, pid uint32) (*skepv1.GetProcessResponse, bool) {
	for _, each := range p.processes {
		proc := each.GetProcess()
		if id != "" && (id == proc.GetProcessId() || id == proc.GetExecId()) || id == "" && pid == proc.GetPid() {
			res := &skepv1.GetProcessResponse{Process: each}
			for _, c := range p.connections {
				if c.GetProcess() == proc {
					res.Connections = append(res.Connections, c)
				}
			}
			return res, true
		}
	}
	return nil, false
}

func (p *processTable) Ancestors(execID string, yield func(*skepv1.Process) bool) {
	for _, each := range p.processes {
		if each.GetProcess().GetExecId() == execID {
			for _, parent := range p.processes {
				if parent.GetProcess().GetExecId() == each.GetProcess().GetParentExecId() && !yield(parent.GetProcess()) {
					return
				}
			}
		}
	}
}

type connectionTable agent

func (c *connectionTable) List(closed bool) (list []*skepv1.ConnectionInfo) {
	for _, each := range c.connections {
		if closed || each.GetClosed() == nil {
			list = append(list, each)
		}
	}
	return list
}

func (c *connectionTable) Counted(closed bool) (list []*skepv1.ConnectionInfo) {
	for _, each := range c.List(closed) {
		each = proto.CloneOf(each)
		each.Counted = timestamppb.Now()
		list = append(list, each)
	}
	return list
}

// lines is an audit log in memory.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// all parses the lines; each must be one JSON object.
func (l *lines) all(t *testing.T) (parsed []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.text()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("audit line %q: %v", line, err)
		}
		parsed = append(parsed, m)
	}
	return parsed
}

func record(k event.Kind, seq uint64) *skepv1.Record {
	return &skepv1.Record{NodeId: "node-1", Kind: k.String(), Seq: seq, Time: timestamppb.Now(), Process: &skepv1.Process{Pid: uint32(seq % 100)}}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it connects as other users")
	}
}

func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
