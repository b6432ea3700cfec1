// SPDX-License-Identifier: Apache-2.0

package fakeagent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func (a *Agent) ListProcesses(_ context.Context, r *skepv1.ListProcessesRequest) (*skepv1.ListProcessesResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.Clone(a.table)
	for _, p := range a.gone {
		if r.Exited {
			list = append(list, p)
		}
	}
	return &skepv1.ListProcessesResponse{Processes: list, Total: uint64(len(a.table))}, nil
}

func (a *Agent) ListConnections(_ context.Context, r *skepv1.ListConnectionsRequest) (*skepv1.ListConnectionsResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &skepv1.ListConnectionsResponse{Connections: slices.Clone(a.conns), Total: uint64(len(a.conns))}, nil
}

func (a *Agent) GetProcess(_ context.Context, r *skepv1.GetProcessRequest) (*skepv1.GetProcessResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	byExec := map[string]*skepv1.ProcessInfo{}
	for _, p := range a.table {
		byExec[p.Process.ExecId] = p
	}
	p := byExec[r.Id]
	if p == nil {
		p = a.gone[r.Id]
	}
	if p == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no process %q", r.Id))
	}
	out := &skepv1.GetProcessResponse{Process: p}
	for up := byExec[p.Process.ParentExecId]; up != nil; up = byExec[up.Process.ParentExecId] {
		out.Ancestors = append(out.Ancestors, up)
	}
	for _, q := range a.table {
		if q.Process.ParentExecId == p.Process.ExecId {
			out.Children = append(out.Children, q)
		}
	}
	for _, c := range a.conns {
		if c.Process.ProcessId == p.Process.ProcessId {
			out.Connections = append(out.Connections, c)
		}
	}
	return out, nil
}

func (a *Agent) GetStatus(context.Context, *skepv1.GetStatusRequest) (*skepv1.GetStatusResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &skepv1.GetStatusResponse{Version: "0.1.0", NodeId: nodeID, BootId: bootID, NodeName: "osprey",
		Time: timestamppb.Now(), Started: timestamppb.New(a.started), Uptime: a.uptime(), AgentCpu: durationpb.New(94 * time.Second), AgentCpuShare: 0.0041, ProgramsCpuShare: 0.0017,
		Processes: &skepv1.TableStatus{Entries: uint64(len(a.table)), Capacity: 65536}, Connections: &skepv1.TableStatus{Entries: uint64(len(a.conns)), Capacity: 131072},
		Containers: &skepv1.TableStatus{Entries: 4, Capacity: 4096},
		Memory: &skepv1.MemoryStatus{ResidentBytes: 34 << 20, KernelMapsBytes: 21 << 20, Maps: []*skepv1.MapStatus{
			{Name: "procs", Type: "hash", Bytes: 12 << 20, MaxEntries: 65536}, {Name: "events", Type: "ringbuf", Bytes: 8 << 20, MaxEntries: 8 << 20}}},
		Subscribers: []*skepv1.Subscriber{{Id: 1, Who: "web (uid 997)", Since: timestamppb.New(time.Now().Add(-3 * time.Minute)), Delivered: 51200},
			{Id: 2, Who: "ada (uid 1000)", Since: timestamppb.New(time.Now().Add(-2 * time.Hour)), Delivered: 931022, Lost: 12, Filter: `exe == "/usr/sbin/nginx"`}},
		Signals: signals()}
	for _, k := range []string{"fork", "exec", "exit", "oom", "connect", "accept", "close", "listen", "dns", "file", "host", "loss", "agent"} {
		st := &skepv1.KindStatus{Kind: k, Received: a.received[k], Rate: float64(a.opts.Rate) / 6}
		if k == "close" {
			st.Lost = a.lost
		}
		s.Kinds = append(s.Kinds, st)
	}
	if a.lost > 0 {
		s.Losses = []*skepv1.LossCount{{Place: "ring_full", Kind: "close", Count: a.lost}}
	}
	for i, hook := range []string{"tp_btf/sched_process_fork", "tp_btf/sched_process_exec", "tp_btf/sched_process_exit", "tp_btf/inet_sock_set_state", "cgroup/sock_create", "cgroup/connect4", "tp_btf/tcp_retransmit_skb"} {
		rps, ns := float64(a.opts.Rate)/float64(4+i), 240+float64(i*97)
		s.Programs = append(s.Programs, &skepv1.ProgramStatus{Name: []string{"skep_fork", "skep_exec", "skep_exit", "skep_state", "skep_create", "skep_connect4", "skep_retrans"}[i], Hook: hook, Id: uint32(61 + i),
			Runs: uint64(rps * 9000), RunTimeNs: uint64(rps * 9000 * ns), RunsPerSecond: rps, NsPerRun: ns, CpuShare: rps * ns / 1e9, Instructions: uint32(900 + i*411)})
	}
	return s, nil
}

func signals() []*skepv1.SignalStatus {
	return []*skepv1.SignalStatus{
		{Signal: "process", Intent: "see", Rung: "tp_btf", Available: true, Rungs: []*skepv1.RungStatus{{Name: "lsm", State: "unavailable", Reason: "attach refused (EPERM): this kernel does not patch its text"}, {Name: "fentry", State: "unavailable", Reason: "attach refused (EPERM)"}, {Name: "tp_btf", State: "used"}}},
		{Signal: "tcp", Intent: "see", Rung: "tracepoint+cgroup", Available: true, Rungs: []*skepv1.RungStatus{{Name: "fentry", State: "unavailable", Reason: "attach refused (EPERM)"}, {Name: "tracepoint+cgroup", State: "used"}}, Limits: []string{"the backlog of a listener is read at the next scan"}, Advice: "boot a kernel with CONFIG_FUNCTION_TRACER"},
		{Signal: "file", Intent: "see", Rung: "tp_btf", Available: true, Rungs: []*skepv1.RungStatus{{Name: "fentry", State: "unavailable", Reason: "attach refused (EPERM)"}, {Name: "tp_btf", State: "used"}}, Limits: []string{"operations by io_uring are not seen"}},
		{Signal: "oom", Intent: "see", Rung: "", Available: false, Rungs: []*skepv1.RungStatus{{Name: "kprobe", State: "unavailable", Reason: "kernel built without kprobes"}}, Advice: "boot a kernel with CONFIG_KPROBES"},
	}
}
