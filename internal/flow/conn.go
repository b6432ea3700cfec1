// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// conn is one socket.
type conn struct {
	socket  abi.TcpSocket // as last told
	pair    pair
	process *skepv1.Process // the owner; nil if not known
	other   *conn           // the socket at the other end, on this host

	announced bool // its accept has made a record
	inbound   bool // found once: the listener that tells may be gone tomorrow

	// Made once and shared by all records of the connection.
	community     string
	local, remote *skepv1.Endpoint
	remoteName    string

	last     *abi.TcpRecord // once closed or failed
	closedNS uint64

	ofPair, ahead  *conn // next and previous with the same ends
	ofOwner        *owned
	before, behind *conn // of the same owner
}

func newConn(e *abi.TcpRecord) *conn {
	c := &conn{socket: e.Socket, pair: pairOf(&e.Socket.Ends)}
	c.inbound = c.is(abi.TcpPassive)
	ends := &[2]skepv1.Endpoint{}
	c.local = endpoint(&ends[0], &c.pair.local)
	if c.is(abi.TcpListener) {
		return c
	}
	c.remote = endpoint(&ends[1], &c.pair.remote)
	if c.pair.local.Port != 0 { // a connect that never had one has no 5-tuple
		c.community = CommunityID(c.pair.local, c.pair.remote, protocolTCP, 0)
	}
	return c
}

func endpoint(to *skepv1.Endpoint, e *End) *skepv1.Endpoint {
	to.Address, to.Port = e.Addr().String(), uint32(e.Port)
	return to
}

func (c *conn) direction() string {
	switch {
	case c.is(abi.TcpListener):
		return "listen"
	case c.inbound:
		return "inbound"
	}
	return "outbound"
}

func (c *conn) is(flag abi.TcpFlag) bool { return c.socket.Flags&uint16(flag) != 0 }

// fill writes what is known of the connection.
func (c *conn) fill(to *skepv1.Connection) {
	to.Protocol = "tcp"
	to.CommunityId, to.Local, to.Remote, to.RemoteName = c.community, c.local, c.remote, c.remoteName
	to.Direction, to.Peer = c.direction(), c.peer()
	to.Family, to.V4Mapped = c.family()
	to.Netns = c.socket.Ends.Netns
	to.OwnerSource = sourceNames[abi.TcpSource(c.socket.Source)%abi.TcpSources]
	to.Preexisting = c.is(abi.TcpPreexisting)
}

func (c *conn) family() (name string, mapped bool) {
	if c.socket.Family == unix.AF_INET {
		return "ipv4", false
	}
	// A listener on :: is IPv6 until somebody comes.
	end := &c.pair.remote
	if c.is(abi.TcpListener) {
		end = &c.pair.local
	}
	if end.is4() {
		return "ipv4", true
	}
	return "ipv6", false
}

var sourceNames = [abi.TcpSources]string{
	abi.TcpSourceConnect: "connect", abi.TcpSourceListen: "listen", abi.TcpSourceListener: "listener",
	abi.TcpSourceAccept: "accept", abi.TcpSourceIo: "io", abi.TcpSourceScan: "scan",
}

var reasonNames = [abi.TcpReasons]string{
	abi.TcpReasonLocal: "local", abi.TcpReasonPeer: "peer", abi.TcpReasonReset: "reset",
	abi.TcpReasonAbort: "abort", abi.TcpReasonTimeout: "timeout", abi.TcpReasonRefused: "refused",
	abi.TcpReasonError: "error", abi.TcpReasonUnaccepted: "unaccepted",
}

// UnknownError is the name of an error whose number the kernel side could not get.
const UnknownError = "unknown"

// fillEnd writes what a failed connect or a close adds.
func fillEnd(to *skepv1.Connection, e *abi.TcpRecord) {
	if abi.EventType(e.Header.Type) == abi.EventConnect {
		fillError(to, e.Error)
		return
	}
	fillTraffic(to, &e.Traffic, e.Socket.EstablishedNS, e.Header.BootNS)
	to.CloseReason = reasonNames[abi.TcpReason(e.Reason)%abi.TcpReasons]
	if abi.TcpReason(e.Reason) == abi.TcpReasonError {
		fillError(to, e.Error)
	}
}

// fillTraffic writes what a connection has carried from its start (0: not known) up to a
// moment, both boot time in nanoseconds.
func fillTraffic(to *skepv1.Connection, n *abi.TcpTraffic, start, at uint64) {
	to.BytesSent, to.BytesReceived = n.BytesSent, n.BytesReceived
	to.SegmentsSent, to.SegmentsReceived = n.SegmentsSent, n.SegmentsReceived
	to.RttUs, to.RttVarUs, to.Retransmits = n.RTTUs, n.RTTVarUs, n.Retransmits
	if start != 0 && start < at {
		to.DurationNs = at - start
	}
}

func fillError(to *skepv1.Connection, number uint16) {
	to.Error, to.ErrorName = uint32(number), unix.ErrnoName(unix.Errno(number))
	if to.ErrorName == "" {
		to.ErrorName = UnknownError
	}
}

func (c *conn) state() string {
	switch {
	case c.last != nil && abi.EventType(c.last.Header.Type) == abi.EventConnect:
		return "FAILED"
	case c.last != nil:
		return "CLOSED"
	case c.is(abi.TcpListener):
		return "LISTEN"
	case c.socket.State == stateSynSent:
		return "SYN_SENT"
	}
	return "ESTABLISHED"
}

// States of the kernel's TCP.
const (
	stateSynSent = 2
	stateClose   = 7
)

func (c *conn) peer() *skepv1.Peer {
	if c.other == nil || c.other.process == nil {
		return nil
	}
	p := c.other.process
	return &skepv1.Peer{
		ProcessId: p.ProcessId, ExecId: p.ExecId, Pid: p.Pid, Comm: p.Comm, Exe: p.Exe, ContainerId: p.GetContainer().GetId(),
	}
}

func stamp(wall func(uint64) time.Time, bootNS uint64) *timestamppb.Timestamp {
	if bootNS == 0 {
		return nil
	}
	return timestamppb.New(wall(bootNS))
}
