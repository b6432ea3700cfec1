// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
)

// ListProcesses implements the AgentService. Addresses and ports select the
// processes that have such a connection.
func (s *Server) ListProcesses(ctx context.Context, req *skepv1.ListProcessesRequest) (*skepv1.ListProcessesResponse, error) {
	if req.GetAt() != nil {
		return s.processesAt(ctx, req)
	}
	spec := req.GetFilter()
	byConnection := &skepv1.Filter{Addrs: spec.GetAddrs(), Ports: spec.GetPorts()}
	connections, err := s.tableFilter(byConnection)
	if err != nil {
		return nil, err
	}
	processes, err := s.tableFilter(without(spec))
	if err != nil {
		return nil, err
	}
	s.catchUp(ctx)
	selective := len(spec.GetAddrs())+len(spec.GetPorts()) > 0
	var connected map[string]bool
	if selective {
		connected = s.connected(req.GetExited(), connections)
	}
	res := &skepv1.ListProcessesResponse{}
	for _, p := range s.deps.Processes.List(req.GetExited()) {
		res.Total++
		if (!selective || connected[p.GetProcess().GetProcessId()]) && processes.Match(recordOfProcess(p)) {
			res.Processes = append(res.Processes, p)
		}
	}
	res.Undecided = processes.Undecided(0)
	s.filterFailures.Add(processes.Failures())
	return res, nil
}

// without is the part of a filter that is about the process itself.
func without(f *skepv1.Filter) *skepv1.Filter {
	return &skepv1.Filter{
		Kinds: f.GetKinds(), Pids: f.GetPids(), Exes: f.GetExes(), Comms: f.GetComms(), Uids: f.GetUids(),
		Containers: f.GetContainers(), AncestorExes: f.GetAncestorExes(), Where: f.GetWhere(),
	}
}

// connected says which processes have a connection that matches.
func (s *Server) connected(closed bool, f *filters.Filter) map[string]bool {
	matching := map[string]bool{}
	for _, c := range s.deps.Connections.List(closed) {
		if f.Match(recordOfConnection(c)) {
			matching[c.GetProcess().GetProcessId()] = true
		}
	}
	return matching
}

// ListConnections implements the AgentService.
func (s *Server) ListConnections(ctx context.Context, req *skepv1.ListConnectionsRequest) (*skepv1.ListConnectionsResponse, error) {
	filter, err := s.tableFilter(req.GetFilter())
	if err != nil {
		return nil, err
	}
	s.catchUp(ctx)
	res := &skepv1.ListConnectionsResponse{}
	for _, c := range s.deps.Connections.Counted(req.GetClosed()) {
		res.Total++
		if filter.Match(recordOfConnection(c)) {
			res.Connections = append(res.Connections, c)
		}
	}
	res.Undecided = filter.Undecided(0)
	s.filterFailures.Add(filter.Failures())
	slices.SortStableFunc(res.Connections, func(a, b *skepv1.ConnectionInfo) int {
		return cmp.Or(cmp.Compare(b.GetOpened().GetSeconds(), a.GetOpened().GetSeconds()),
			cmp.Compare(b.GetOpened().GetNanos(), a.GetOpened().GetNanos()))
	})
	if limit := int(req.GetLimit()); limit > 0 && len(res.Connections) > limit {
		res.Connections = res.Connections[:limit]
	}
	return res, nil
}

// tableFilter compiles a filter over a table, whose rows have no kind.
func (s *Server) tableFilter(spec *skepv1.Filter) (*filters.Filter, error) {
	if len(spec.GetKinds()) > 0 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("filter kinds: the rows of a table have no kind"))
	}
	return s.compile(spec)
}

func (s *Server) compile(spec *skepv1.Filter) (*filters.Filter, error) {
	f, err := filters.Compile(spec, filters.Deps{Ancestors: s.deps.Processes.Ancestors})
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return f, nil
}

// recordOfProcess is a row of the process table as filters see it.
func recordOfProcess(p *skepv1.ProcessInfo) *skepv1.Record {
	r := &skepv1.Record{Time: p.GetStarted(), Process: p.GetProcess()}
	if p.GetExec() != nil {
		r.Body = &skepv1.Record_Exec{Exec: p.GetExec()}
	}
	return r
}

// recordOfConnection is a row of the connection table as filters see it.
func recordOfConnection(c *skepv1.ConnectionInfo) *skepv1.Record {
	return &skepv1.Record{
		Time: c.GetOpened(), Process: c.GetProcess(),
		Body: &skepv1.Record_Connection{Connection: c.GetConnection()},
	}
}
