// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
)

// udpFlow is one socket and one peer.
type udpFlow struct {
	ends    ends
	counts  abi.UdpFlow // as of the last pass
	now     Now         // of that pass
	pass    uint64      // its number
	toldNS  uint64      // boot time of its last record; 0 for none
	process *skepv1.Process
	other   *udpFlow // the other end, on this host

	// Made once and shared by all records of the flow.
	community     string
	local, remote *skepv1.Endpoint
	remoteName    string
}

func newFlow(k *abi.UdpKey, v *abi.UdpFlow) *udpFlow {
	f := &udpFlow{counts: *v}
	f.counts.Owner = abi.ExecID{} // resolved when it is taken
	f.ends.local, f.ends.remote = flow.EndAt(&v.Local, v.LocalPort), flow.EndAt(&k.Remote, k.RemotePort)
	if f.ends.local.Addr().IsLoopback() {
		f.ends.netns = v.Netns
	}
	f.community = flow.CommunityID(f.ends.local, f.ends.remote, unix.IPPROTO_UDP, 0)
	f.local, f.remote = endpoint(&f.ends.local), endpoint(&f.ends.remote)
	return f
}

func endpoint(e *flow.End) *skepv1.Endpoint {
	return &skepv1.Endpoint{Address: e.Addr().String(), Port: uint32(e.Port)}
}

func (f *udpFlow) inbound() bool { return f.counts.Flags&uint8(abi.UdpInbound) != 0 }

// idle is how long before its last pass the flow had its last datagram. The kernel side
// enters a flow before it counts the first one.
func (f *udpFlow) idle() time.Duration {
	if f.counts.LastNS == 0 {
		return 0
	}
	return time.Duration(f.now.Monotonic - min(f.now.Monotonic, f.counts.LastNS))
}

var sourceNames = [abi.UdpSources]string{
	abi.UdpSourceScan: "scan", abi.UdpSourceBind: "bind", abi.UdpSourceReceive: "receive", abi.UdpSourceSend: "send",
}

// record is one of kind udp; reason says why the flow has ended, "" that it goes on.
func (f *udpFlow) record(reason string, atNS uint64) *skepv1.Record {
	r := &struct {
		record     skepv1.Record
		body       skepv1.Record_Connection
		connection skepv1.Connection
	}{}
	f.fill(&r.connection, atNS)
	r.connection.CloseReason = reason
	r.body.Connection = &r.connection
	r.record.Kind, r.record.Process, r.record.Body = "udp", f.process, &r.body
	return &r.record
}

func (f *udpFlow) fill(to *skepv1.Connection, atNS uint64) {
	n := &f.counts
	to.Protocol, to.Direction = "udp", "outbound"
	if f.inbound() {
		to.Direction = "inbound"
	}
	to.CommunityId, to.Local, to.Remote, to.RemoteName = f.community, f.local, f.remote, f.remoteName
	to.Family = "ipv6"
	if f.ends.remote.Addr().Is4() {
		to.Family, to.V4Mapped = "ipv4", n.Family == unix.AF_INET6
	}
	to.Netns = n.Netns
	to.OwnerSource = sourceNames[abi.UdpSource(n.Source)%abi.UdpSources]
	to.Preexisting = n.Flags&uint8(abi.UdpPreexisting) != 0
	to.Peer = f.peer()
	to.BytesSent, to.BytesReceived = n.BytesSent, n.BytesReceived
	to.PacketsSent, to.PacketsReceived = n.PacketsSent, n.PacketsReceived
	last := max(n.FirstNS, f.now.Boot-min(f.now.Boot, uint64(f.idle())))
	to.DurationNs = last - n.FirstNS
	to.IdleNs = atNS - min(atNS, last)
}

func (f *udpFlow) peer() *skepv1.Peer {
	if f.other == nil || f.other.process == nil {
		return nil
	}
	p := f.other.process
	return &skepv1.Peer{
		ProcessId: p.ProcessId, ExecId: p.ExecId, Pid: p.Pid, Comm: p.Comm, Exe: p.Exe, ContainerId: p.GetContainer().GetId(),
	}
}

// State is what the connection table shows of a flow: UDP itself has no states.
const State = "UDP"

// List returns all flows, as of the last pass.
func (t *Table) List() []*skepv1.ConnectionInfo {
	return t.infos(func(*udpFlow) bool { return true })
}

// Of returns the flows of a process, as of the last pass.
func (t *Table) Of(processID string) []*skepv1.ConnectionInfo {
	return t.infos(func(f *udpFlow) bool { return f.process.GetProcessId() == processID })
}

func (t *Table) infos(wanted func(*udpFlow) bool) []*skepv1.ConnectionInfo {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []*skepv1.ConnectionInfo
	for _, f := range t.flows {
		if !wanted(f) {
			continue
		}
		connection := &skepv1.Connection{}
		f.fill(connection, f.now.Boot)
		all = append(all, &skepv1.ConnectionInfo{
			Process: f.process, Connection: connection, State: State,
			Opened:  timestamppb.New(t.options.Wall(f.counts.FirstNS)),
			Counted: timestamppb.New(t.options.Wall(f.now.Boot)),
		})
	}
	return all
}
