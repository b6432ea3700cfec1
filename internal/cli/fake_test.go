// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
	"github.com/skep-io/skep/internal/event"
)

// fakeAgent answers with fixed data, and writes each request as a line of
// JSON into a file, so that a test can see what was asked. The filter's where
// chooses a misbehaviour.
type fakeAgent struct {
	mu       sync.Mutex
	requests *os.File
	ends     chan struct{} // of scripts: see endings
}

func (f *fakeAgent) note(name string, m proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.requests != nil {
		f.requests.Write(append(event.AppendJSON([]byte(name+" "), m), '\n'))
	}
}

func misbehave(where string) error {
	switch where {
	case "bad":
		return connect.NewError(connect.CodeInvalidArgument, errors.New("--where: undeclared reference to 'bad'\n | bad\n | ^\x1b[31m"))
	case "deny":
		return connect.NewError(connect.CodePermissionDenied, errors.New("role view is needed, you have none"))
	case "vanish":
		return connect.NewError(connect.CodeUnavailable, errors.New("the agent is stopping"))
	}
	return nil
}

func (f *fakeAgent) Observe(ctx context.Context, req *skepv1.ObserveRequest, s *connect.ServerStream[skepv1.ObserveResponse]) error {
	f.note("Observe", req)
	where := req.GetFilter().GetWhere()
	if err := misbehave(where); err != nil {
		return err
	}
	if n, err := strconv.Atoi(where); err == nil {
		return flood(s, n)
	}
	if where == "costly" {
		return s.Send(&skepv1.ObserveResponse{Undecided: &skepv1.Undecided{Count: 6216, Reason: "too many steps\x1b[31m"}})
	}
	if err := s.Send(&skepv1.ObserveResponse{Records: sampleRecords(), SampledOut: 1234}); err != nil || !req.GetFollow() {
		return err
	}
	if err := s.Send(&skepv1.ObserveResponse{Live: true, Records: []*skepv1.Record{liveRecord()}}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// flood sends n records as fast as they are taken.
func flood(s *connect.ServerStream[skepv1.ObserveResponse], n int) error {
	const batch = 256
	sample := sampleRecords()
	m := &skepv1.ObserveResponse{}
	for i := range batch {
		m.Records = append(m.Records, sample[i%len(sample)])
	}
	for ; n > 0; n -= batch {
		m.Records = m.Records[:min(n, batch)]
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeAgent) GetStatus(_ context.Context, req *skepv1.GetStatusRequest) (*skepv1.GetStatusResponse, error) {
	f.note("GetStatus", req)
	return sampleStatus(), nil
}

func (f *fakeAgent) GetDoctor(_ context.Context, req *skepv1.GetDoctorRequest) (*skepv1.GetDoctorResponse, error) {
	f.note("GetDoctor", req)
	return sampleDoctor(true), nil
}

func (f *fakeAgent) ListProcesses(ctx context.Context, req *skepv1.ListProcessesRequest) (*skepv1.ListProcessesResponse, error) {
	f.note("ListProcesses", req)
	if req.GetFilter().GetWhere() == "hang" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	all := sampleProcesses()
	out := &skepv1.ListProcessesResponse{Total: uint64(len(all))}
	if req.GetFilter().GetWhere() == "costly" {
		out.Undecided = &skepv1.Undecided{Count: 3, Reason: "too many steps"}
		return out, nil
	}
	if req.GetAt() != nil {
		out.Missing = []string{"exit-1.parquet: torn\x1b[31m"}
	}
	for _, p := range all {
		pids := req.GetFilter().GetPids()
		if (p.GetExited() == nil || req.GetExited()) && (len(pids) == 0 || pids[0] == p.GetProcess().GetPid()) {
			out.Processes = append(out.Processes, p)
		}
	}
	return out, misbehave(req.GetFilter().GetWhere())
}

func (f *fakeAgent) GetProcess(_ context.Context, req *skepv1.GetProcessRequest) (*skepv1.GetProcessResponse, error) {
	f.note("GetProcess", req)
	all := sampleProcesses()
	for _, p := range all {
		if p.GetProcess().GetPid() == req.GetPid() || p.GetProcess().GetProcessId() == req.GetId() {
			return &skepv1.GetProcessResponse{Process: p, Ancestors: all[:1], Children: all[3:4], Connections: sampleConnections()}, nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("no process with that pid or id"))
}

func (f *fakeAgent) ListConnections(_ context.Context, req *skepv1.ListConnectionsRequest) (*skepv1.ListConnectionsResponse, error) {
	f.note("ListConnections", req)
	return &skepv1.ListConnectionsResponse{Connections: sampleConnections()}, nil
}

func (f *fakeAgent) Top(ctx context.Context, req *skepv1.TopRequest, s *connect.ServerStream[skepv1.TopResponse]) error {
	f.note("Top", req)
	if err := misbehave(req.GetFilter().GetWhere()); err != nil {
		return err
	}
	if req.GetFilter().GetWhere() == "measuring" { // the first measurement takes its time
		<-ctx.Done()
		return nil
	}
	for range 2 {
		if err := s.Send(sampleTop()); err != nil {
			return err
		}
	}
	if req.GetFilter().GetWhere() == "hang" {
		<-ctx.Done()
	}
	return nil
}

func (f *fakeAgent) CountRecords(_ context.Context, req *skepv1.CountRecordsRequest) (*skepv1.CountRecordsResponse, error) {
	f.note("CountRecords", req)
	return &skepv1.CountRecordsResponse{}, nil
}

func (f *fakeAgent) Export(_ context.Context, req *skepv1.ExportRequest, s *connect.ServerStream[skepv1.ExportResponse]) error {
	f.note("Export", req)
	if err := misbehave(req.GetFilter().GetWhere()); err != nil {
		return err
	}
	for _, part := range []string{"PAR1 first half, ", "second half"} {
		if err := s.Send(&skepv1.ExportResponse{Data: []byte(part), Records: 7}); err != nil {
			return err
		}
	}
	return s.Send(&skepv1.ExportResponse{Records: 9, Missing: []string{"exec-1.parquet: torn\x1b[31m"}})
}

func (f *fakeAgent) GetDiagnostics(_ context.Context, req *skepv1.GetDiagnosticsRequest) (*skepv1.GetDiagnosticsResponse, error) {
	f.note("GetDiagnostics", req)
	return &skepv1.GetDiagnosticsResponse{Config: "cluster: east\n", Log: "level=ERROR url=https://u:hunter2@h/\n", Build: "go go1.26\n", KernelCommandLine: "quiet"}, nil
}

func (f *fakeAgent) GetIdentity(_ context.Context, req *skepv1.GetIdentityRequest) (*skepv1.GetIdentityResponse, error) {
	f.note("GetIdentity", req)
	return &skepv1.GetIdentityResponse{Uid: 0, User: "root", Role: skepv1.Role_ROLE_ADMIN}, nil
}

func (f *fakeAgent) CreateToken(_ context.Context, req *skepv1.CreateTokenRequest) (*skepv1.CreateTokenResponse, error) {
	f.note("CreateToken", req)
	if req.GetRole() == skepv1.Role_ROLE_ADMIN {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("a token has at most your own role"))
	}
	return &skepv1.CreateTokenResponse{Token: "secret-token", Role: req.GetRole(), Expires: timestamppb.New(sampleTime.Add(req.GetTtl().AsDuration()))}, nil
}

// serveFake serves on a unix socket until stop is called.
func serveFake(socket string, f *fakeAgent) (stop func(), err error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(skepv1connect.NewAgentServiceHandler(f))
	srv := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(ln)
	return func() { srv.Close() }, nil
}

var sampleTime = time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC)

const (
	// hostile would, printed as it is, colour the terminal, move the cursor,
	// forge a line, and hide text with C1 and bidirectional controls.
	hostile  = "\x1b[31mred\x07\r\n15:04:05 forged\u009b2J\u202eevil\x7f"
	bootID   = "4f9c1b1e-0000-4000-8000-000000000001"
	nodeID   = "7d3f0a52-0000-4000-8000-000000000002"
	webID    = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100"
	sampleID = "p-100"
)

func sampleProcess(pid uint32, comm string) *skepv1.Process {
	id := strconv.FormatUint(uint64(pid), 10)
	return &skepv1.Process{ProcessId: "p-" + id, ExecId: "e-" + id, Pid: pid, Ppid: 1, ParentExecId: "e-1", Comm: comm, Exe: "/usr/bin/" + comm}
}

func record(kind string, p *skepv1.Process) *skepv1.Record {
	return &skepv1.Record{NodeId: nodeID, BootId: bootID, NodeName: "alpha", Kind: kind, Seq: 7, Time: timestamppb.New(sampleTime), BootNs: 42, Process: p}
}

func sampleConnection() *skepv1.Connection {
	return &skepv1.Connection{CommunityId: "1:x", Local: &skepv1.Endpoint{Address: "10.0.0.1", Port: 40000}, Remote: &skepv1.Endpoint{Address: "2001:db8::1", Port: 443},
		Direction: "outbound", Family: "ipv6", Peer: &skepv1.Peer{Pid: 80, Comm: "nginx", ContainerId: webID}}
}

func sampleRecords() []*skepv1.Record {
	curl := sampleProcess(100, "curl")
	web := sampleProcess(80, "nginx")
	web.Container = &skepv1.Container{Id: webID, Runtime: "docker", Name: "web"}
	evil := sampleProcess(666, "ev\x1bil\n")
	evil.Uid, evil.Exe = 54321, "/tmp/"+hostile
	with := func(r *skepv1.Record, body any) *skepv1.Record {
		switch b := body.(type) {
		case *skepv1.Fork:
			r.Body = &skepv1.Record_Fork{Fork: b}
		case *skepv1.Exec:
			r.Body = &skepv1.Record_Exec{Exec: b}
		case *skepv1.Exit:
			r.Body = &skepv1.Record_Exit{Exit: b}
		case *skepv1.Oom:
			r.Body = &skepv1.Record_Oom{Oom: b}
		case *skepv1.Connection:
			r.Body = &skepv1.Record_Connection{Connection: b}
		case *skepv1.Dns:
			r.Body = &skepv1.Record_Dns{Dns: b}
		case *skepv1.FileOperation:
			r.Body = &skepv1.Record_File{File: b}
		case *skepv1.HostCall:
			r.Body = &skepv1.Record_Host{Host: b}
		case *skepv1.Loss:
			r.Body = &skepv1.Record_Loss{Loss: b}
		case *skepv1.Agent:
			r.Body = &skepv1.Record_Agent{Agent: b}
		}
		return r
	}
	failed, closed, listen := sampleConnection(), sampleConnection(), sampleConnection()
	failed.Error, failed.ErrorName, failed.Peer = 111, "ECONNREFUSED", nil
	closed.Direction = "inbound"
	closed.BytesSent, closed.BytesReceived, closed.RttUs, closed.Retransmits, closed.DurationNs, closed.CloseReason = 1536, 34<<20, 1250, 2, 1_500_000_000, "reset"
	listen.Direction, listen.Remote, listen.Backlog = "listen", nil, 511
	failed.RemoteName = "a." + hostile
	answered := &skepv1.Dns{Outcome: "answered", Name: "a." + hostile, Type: "AAAA", Rcode: "NOERROR", LatencyNs: 1_234_567, Protocol: "tcp",
		Server: &skepv1.Endpoint{Address: "2001:db8::53", Port: 53}, AnswersOmitted: 2, Undecoded: "x", Retransmits: 1, Answers: []*skepv1.DnsAnswer{
			{Type: "CNAME", Data: hostile}, {Type: "AAAA", Data: "2001:db8::1"}, {Type: "AAAA", Data: "2001:db8::2"}, {Type: "AAAA", Data: "2001:db8::3"}, {Type: "AAAA", Data: "2001:db8::4"}}}
	unanswered := &skepv1.Dns{Outcome: "unanswered", Name: "example.org", Type: "A", LatencyNs: 5e9, Server: &skepv1.Endpoint{Address: "10.0.0.53", Port: 53}, Protocol: "udp"}
	return []*skepv1.Record{
		with(record("fork", curl), &skepv1.Fork{}),
		with(record("exec", curl), &skepv1.Exec{Args: []string{"curl", "-s", "it's here", ""}, File: &skepv1.File{Path: "/usr/bin/curl"}}),
		with(record("exec", evil), &skepv1.Exec{Args: []string{"sh", "-c", hostile}, ArgsTruncated: true, Memfd: true, Setuid: true, Cwd: hostile, File: &skepv1.File{Path: "/tmp/" + hostile}}),
		with(record("exit", curl), &skepv1.Exit{Code: 22, DurationNs: 83_000_000, MaxRssBytes: 9 << 20, UserNs: 4e6, SystemNs: 3e6}),
		with(record("exit", evil), &skepv1.Exit{Signal: 11, SignalName: "SIGSEGV", CoreDumped: true, DurationNs: 3_723_000_000_000}),
		with(record("oom", web), &skepv1.Oom{Cgroup: "/docker/" + webID[:12], LimitBytes: 64 << 20, UsageBytes: 64 << 20, VictimRssBytes: 60 << 20}),
		with(record("connect", curl), sampleConnection()),
		with(record("connect", curl), failed),
		with(record("accept", web), closed),
		with(record("close", web), closed),
		with(record("listen", web), listen),
		with(record("dns", curl), answered),
		with(record("dns", web), unanswered),
		with(record("file", curl), &skepv1.FileOperation{Operation: "rename", Path: "/etc/" + hostile, NewPath: "/etc/hosts", Flags: "RENAME_NOREPLACE"}),
		with(record("file", web), &skepv1.FileOperation{Operation: "open", Path: "d/shadow", PathTruncated: true, Flags: "O_WRONLY|O_CREAT", Mode: "0644", Error: 13, ErrorName: "EACCES"}),
		with(record("file", web), &skepv1.FileOperation{Operation: "symlink", Path: "/etc/s", Target: "../x", ResultUnknown: true}),
		with(record("host", curl), &skepv1.HostCall{Call: "mount", Source: hostile, Path: "/mnt/" + hostile, Fstype: "tmpfs", Flags: "MS_NOSUID", Error: 1, ErrorName: "EPERM"}),
		with(record("host", web), &skepv1.HostCall{Call: "kill", Signal: 15, SignalName: "SIGTERM", Delivery: "ignored", Target: &skepv1.Peer{Pid: 80, Comm: hostile}}),
		with(record("host", web), &skepv1.HostCall{Call: "setresuid", Requested: "1::3", IdsBefore: "0:0:0:0", IdsAfter: "1:0:3:0"}),
		with(record("host", web), &skepv1.HostCall{Call: "setns", Namespaces: []string{"net", "mnt"}, NamespaceInode: 4026531833}),
		with(record("host", web), &skepv1.HostCall{Call: "bpf_load", ProgramType: "kprobe", Name: hostile, TextCut: true}),
		with(record("host", web), &skepv1.HostCall{Call: "ptrace", Request: "PTRACE_ATTACH", TargetPid: 5, Error: 3, ErrorName: "ESRCH"}),
		with(record("loss", nil), &skepv1.Loss{LostKind: "close", Count: 1234567, Place: "ring_full", FirstSeq: 5, LastSeq: 1234571}),
		with(record("agent", nil), &skepv1.Agent{Event: "adopt", Version: "v0.1.0", Drained: 12, Lost: 3}),
	}
}

func liveRecord() *skepv1.Record {
	r := record("fork", sampleProcess(200, "live"))
	r.Body = &skepv1.Record_Fork{Fork: &skepv1.Fork{}}
	return r
}

func sampleProcesses() []*skepv1.ProcessInfo {
	started := func(p *skepv1.Process, after time.Duration, args ...string) *skepv1.ProcessInfo {
		return &skepv1.ProcessInfo{Process: p, Started: timestamppb.New(sampleTime.Add(after)), Args: args}
	}
	init := started(sampleProcess(1, "systemd"), 0, "/sbin/init")
	init.Process.Ppid, init.Process.Preexisting, init.Process.ParentExecId = 0, true, ""
	kthread := started(sampleProcess(2, "kthreadd"), 0)
	kthread.Process.Ppid, kthread.Process.Preexisting, kthread.Process.Exe, kthread.Process.ParentExecId = 0, true, "", ""
	shell := started(sampleProcess(100, "sh"), time.Second, "sh", "-c", hostile)
	shell.Cwd, shell.Connections = "/srv/"+hostile, 2
	shell.Exec = &skepv1.Exec{Cwd: "/srv", NsPid: 7, Credentials: &skepv1.Credentials{LoginUid: ^uint32(0)}, Namespaces: &skepv1.Namespaces{Net: 4026531840, Pid: 4026532201},
		Capabilities: &skepv1.Capabilities{Effective: "000001ffffffffff"}, Cgroup: "/user.slice", Session: 90, Tty: "pts/3", File: &skepv1.File{Path: "/usr/bin/dash", Device: "8:1", Inode: 77}}
	child := started(sampleProcess(101, "sleep"), 2*time.Second, "sleep", "100")
	child.Process.Ppid, child.Process.Container = 100, &skepv1.Container{Id: webID, Name: "web"}
	gone := started(sampleProcess(102, "false"), 3*time.Second, "false")
	gone.Process.Ppid, gone.Exited, gone.Exit = 100, timestamppb.New(sampleTime.Add(4*time.Second)), &skepv1.Exit{Code: 1}
	return []*skepv1.ProcessInfo{init, kthread, shell, child, gone}
}

func sampleConnections() []*skepv1.ConnectionInfo {
	listen := sampleConnection()
	listen.Direction, listen.Remote, listen.Peer = "listen", nil, nil
	counted, none := sampleConnection(), sampleConnection()
	counted.BytesSent, counted.SegmentsSent, counted.SegmentsReceived, counted.RttUs, counted.Retransmits = 1536, 12, 9, 1250, 2
	none.Remote = &skepv1.Endpoint{Address: "2001:db8::2", Port: 443}
	named := sampleConnection()
	named.RemoteName = "db.example"
	return []*skepv1.ConnectionInfo{
		{Process: sampleProcess(100, "sh"), Connection: counted, State: "ESTABLISHED", Opened: timestamppb.New(sampleTime), Counted: timestamppb.New(sampleTime)},
		{Process: sampleProcess(100, "sh"), Connection: none, State: "ESTABLISHED", Opened: timestamppb.New(sampleTime)},
		{Process: sampleProcess(100, "sh"), Connection: named, State: "ESTABLISHED", Opened: timestamppb.New(sampleTime)},
		{Process: sampleProcess(100, "ev\x1bil"), Connection: listen, State: "LISTEN", Opened: timestamppb.New(sampleTime)},
	}
}

func sampleTop() *skepv1.TopResponse {
	web := sampleProcess(80, "nginx")
	web.Container = &skepv1.Container{Id: webID, Name: "web", Image: "nginx:1"}
	evil := sampleProcess(666, "ev\x1bil")
	evil.Exe = "/tmp/" + hostile
	return &skepv1.TopResponse{Time: timestamppb.New(sampleTime), Measured: durationpb.New(2 * time.Second), Matching: 7, Uncounted: 5, Rows: []*skepv1.TopRow{
		{Process: evil, Processes: 1, Events: 1234.5},
		{Process: web, Processes: 1, Events: 20, Connections: 12, Connects: 3.5, BytesSent: 1536, BytesReceived: 34 << 20, Cpu: 0.25},
		{Process: sampleProcess(100, "sh"), Processes: 1, Events: 1, Connections: 40, Cpu: 0.5},
	}, Total: &skepv1.TopRow{Processes: 9, Events: 2000, Connections: 52, Connects: 3.5, BytesSent: 1536, BytesReceived: 34 << 20, Cpu: 0.75}}
}

func sampleStatus() *skepv1.GetStatusResponse {
	return &skepv1.GetStatusResponse{Version: "v0.1.0", NodeId: nodeID, BootId: bootID, NodeName: "alpha",
		Uptime:    durationpb.New(3*time.Hour + 4*time.Minute),
		Kinds:     []*skepv1.KindStatus{{Kind: "exec", Received: 1234567, Rate: 12.5}, {Kind: "close", Received: 10, Lost: 3}},
		Losses:    []*skepv1.LossCount{{Place: "ring_full", Kind: "close", Count: 3}, {Place: "table_full", Kind: "exec"}},
		Store:     &skepv1.StoreStatus{Bytes: 5 << 20, MaxBytes: 1 << 30, DamagedSegments: 2, DamagedBytes: 3 << 10, DamagedRecords: 1234},
		Processes: &skepv1.TableStatus{Entries: 321, Capacity: 32768}, Memory: &skepv1.MemoryStatus{ResidentBytes: 30 << 20, KernelMapsBytes: 20 << 20},
		Programs: []*skepv1.ProgramStatus{{Name: "skep_exec", Hook: "tp_btf/sched_process_exec", Runs: 5000, NsPerRun: 812, RunsPerSecond: 12.5, CpuShare: 0.0001}},
		AgentCpu: durationpb.New(1500 * time.Millisecond), AgentCpuShare: 0.01, ProgramsCpuShare: 0.002,
		Budget: &skepv1.BudgetStatus{CpuLimit: 0.03, Cpu: 0.041, MemoryLimitBytes: 150 << 20, MemoryBytes: 50 << 20, Exhausted: true, Sensors: []*skepv1.SensorBudget{
			{Sensor: "files", Kinds: []string{"file"}}, {Sensor: "tcp", Kinds: []string{"connect", "close"}, Shed: true, Since: timestamppb.Now(), Reason: "too much " + hostile}}},
		Subscribers: []*skepv1.Subscriber{{Id: 1, Who: "uid 0", Since: timestamppb.New(sampleTime), Delivered: 9, Filter: hostile}},
		Signals: []*skepv1.SignalStatus{{Signal: "exec", Intent: "see", Rung: "tp_btf", Available: true, Limits: []string{"x"}},
			{Signal: "tcp", Intent: "see", Rungs: []*skepv1.RungStatus{{Name: "fexit", State: "shed", Reason: "over"}}}}}
}

func sampleDoctor(ok bool) *skepv1.GetDoctorResponse {
	result := "ok"
	if !ok {
		result = "fail"
	}
	return &skepv1.GetDoctorResponse{KernelRelease: "6.18.0", Architecture: "x86_64", Ok: ok,
		Checks: []*skepv1.Check{{Name: "BTF", Result: result, Detail: "/sys/kernel/btf/vmlinux", Advice: "CONFIG_DEBUG_INFO_BTF=y"}},
		Signals: []*skepv1.SignalStatus{{Signal: "exec", Intent: "see", Rung: "tracepoint", Available: ok, Limits: []string{"name the thread"},
			Rungs: []*skepv1.RungStatus{{Name: "tp_btf", State: "unavailable", Reason: "no BTF"}, {Name: "tracepoint", State: "used"}}, Advice: "boot a kernel with BTF"},
			{Signal: "dns", Intent: "see", Rung: "cgroup_skb", Available: ok, Rungs: []*skepv1.RungStatus{{Name: "fexit", State: "unavailable", Reason: "no BTF"},
				{Name: "fexit_probe", State: "unavailable", Reason: "no BTF"}, {Name: "iter", State: "unavailable", Reason: "EPERM"}, {Name: "cgroup_skb", State: "used"}}},
			{Signal: "ptrace", Intent: "see", Rungs: []*skepv1.RungStatus{{Name: "fexit", State: "unavailable", Reason: "EPERM"},
				{Name: "tracepoint", State: "off", Reason: "name it"}, {Name: "sys_exit", State: "off", Reason: "name it; costs more"}}, Advice: "upgrade"},
			{Signal: "capability", Intent: "see", Rungs: []*skepv1.RungStatus{{Name: "fexit", State: "off", Reason: "not wanted"}}},
			{Signal: "memfd", Intent: "see", Rungs: []*skepv1.RungStatus{{Name: "tracepoint", State: "off", Reason: "name it"}}}}}
}
