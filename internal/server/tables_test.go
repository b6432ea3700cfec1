// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func process(pid, ppid uint32, exe string) *skepv1.ProcessInfo {
	return &skepv1.ProcessInfo{
		Process: &skepv1.Process{
			ProcessId: fmt.Sprint("p", pid), ExecId: fmt.Sprint("e", pid), ParentExecId: fmt.Sprint("e", ppid), Pid: pid, Ppid: ppid, Exe: exe,
		},
		Started: timestamppb.New(time.Unix(int64(pid), 0)),
		Exec:    &skepv1.Exec{Args: []string{exe}},
	}
}

func connection(p *skepv1.ProcessInfo, port uint32, opened int64) *skepv1.ConnectionInfo {
	return &skepv1.ConnectionInfo{
		Process: p.GetProcess(), State: "ESTABLISHED", Opened: timestamppb.New(time.Unix(opened, 0)),
		Connection: &skepv1.Connection{
			Local: &skepv1.Endpoint{Address: "127.0.0.1", Port: port}, Remote: &skepv1.Endpoint{Address: "10.0.0.9", Port: 5432},
		},
	}
}

func withTables(t *testing.T) *agent {
	t.Helper()
	a := newAgent(t)
	shell, web, db := process(10, 1, "/bin/bash"), process(11, 10, "/usr/sbin/nginx"), process(12, 1, "/usr/bin/postgres")
	gone := process(13, 10, "/bin/true")
	gone.Exited = timestamppb.Now()
	a.processes = []*skepv1.ProcessInfo{shell, web, db, gone}
	a.connections = []*skepv1.ConnectionInfo{connection(web, 80, 3), connection(web, 443, 1), connection(db, 5432, 2), connection(gone, 99, 4)}
	a.connections[3].Closed = timestamppb.Now()
	return a
}

func TestListProcesses(t *testing.T) {
	a := withTables(t)
	for _, c := range []struct {
		name string
		req  *skepv1.ListProcessesRequest
		want []uint32
	}{
		{"all", &skepv1.ListProcessesRequest{}, []uint32{10, 11, 12}},
		{"exited too", &skepv1.ListProcessesRequest{Exited: true}, []uint32{10, 11, 12, 13}},
		{"exe", &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Exes: []string{"bash"}}}, []uint32{10}},
		{"ancestor", &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{AncestorExes: []string{"bash"}}}, []uint32{11}},
		{"where", &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Where: `exec.args[0].endsWith("nginx")`}}, []uint32{11}},
		{"port of a connection", &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Ports: []uint32{443}}}, []uint32{11}},
		{"address and exe", &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Addrs: []string{"10.0.0.0/8"}, Exes: []string{"postgres"}}}, []uint32{12}},
		{"port of a closed one", &skepv1.ListProcessesRequest{Filter: &skepv1.Filter{Ports: []uint32{99}}, Exited: true}, []uint32{13}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := a.ListProcesses(t.Context(), c.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint32
			for _, p := range res.GetProcesses() {
				got = append(got, p.GetProcess().GetPid())
			}
			total := uint64(3)
			if c.req.GetExited() {
				total = 4
			}
			if !slices.Equal(got, c.want) || res.GetTotal() != total {
				t.Errorf("got %v of %d, want %v of %d", got, res.GetTotal(), c.want, total)
			}
		})
	}
}

func TestListConnections(t *testing.T) {
	a := withTables(t)
	for _, c := range []struct {
		name  string
		req   *skepv1.ListConnectionsRequest
		want  []uint32
		total uint64
	}{
		{"newest first", &skepv1.ListConnectionsRequest{}, []uint32{80, 5432, 443}, 3},
		{"closed too", &skepv1.ListConnectionsRequest{Closed: true}, []uint32{99, 80, 5432, 443}, 4},
		{"limit", &skepv1.ListConnectionsRequest{Limit: 2}, []uint32{80, 5432}, 3},
		{"pid", &skepv1.ListConnectionsRequest{Filter: &skepv1.Filter{Pids: []uint32{11}}}, []uint32{80, 443}, 3},
		{"where", &skepv1.ListConnectionsRequest{Filter: &skepv1.Filter{Where: "connection.local.port < 100"}}, []uint32{80}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := a.ListConnections(t.Context(), c.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint32
			for _, each := range res.GetConnections() {
				got = append(got, each.GetConnection().GetLocal().GetPort())
				if each.GetCounted() == nil {
					t.Errorf("not counted: %v", each)
				}
			}
			if !slices.Equal(got, c.want) || res.GetTotal() != c.total {
				t.Errorf("got %v of %d, want %v of %d", got, res.GetTotal(), c.want, c.total)
			}
		})
	}
}

func TestGetProcess(t *testing.T) {
	a := withTables(t)
	for _, req := range []*skepv1.GetProcessRequest{{Id: "p11"}, {Id: "e11"}, {Pid: 11}} {
		res, err := a.GetProcess(t.Context(), req)
		if err != nil || res.GetProcess().GetProcess().GetPid() != 11 || len(res.GetConnections()) != 2 {
			t.Errorf("%v: %v, %v", req, res, err)
		}
	}
	for _, c := range []struct {
		req  *skepv1.GetProcessRequest
		code connect.Code
	}{
		{&skepv1.GetProcessRequest{}, connect.CodeInvalidArgument},
		{&skepv1.GetProcessRequest{Id: "p11", Pid: 11}, connect.CodeInvalidArgument},
		{&skepv1.GetProcessRequest{Id: "nope"}, connect.CodeNotFound},
		{&skepv1.GetProcessRequest{Pid: 4040}, connect.CodeNotFound},
	} {
		if _, err := a.GetProcess(t.Context(), c.req); connect.CodeOf(err) != c.code {
			t.Errorf("%v: %v", c.req, err)
		}
	}
}

func TestTablesRefuseKindsAndNonsense(t *testing.T) {
	a := withTables(t)
	for _, f := range []*skepv1.Filter{{Kinds: []string{"exec"}}, {Where: "nope"}, {Addrs: []string{"x"}}} {
		if _, err := a.ListProcesses(t.Context(), &skepv1.ListProcessesRequest{Filter: f}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("processes, %v: %v", f, err)
		}
		if _, err := a.ListConnections(t.Context(), &skepv1.ListConnectionsRequest{Filter: f}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("connections, %v: %v", f, err)
		}
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	a := startAgent(t)
	if _, err := New(Deps{}); err == nil {
		t.Error("nothing is not enough")
	}
	short := a.deps
	short.TokenKey = make([]byte, 31)
	if _, err := New(short); err == nil || err.Error() != "make server: the token key has 31 bytes, it needs 32" {
		t.Errorf("%v", err)
	}
	bare := a.deps
	bare.Logger, bare.Audit = nil, nil
	if _, err := New(bare); err != nil {
		t.Error(err)
	}
}
