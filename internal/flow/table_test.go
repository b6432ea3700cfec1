// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

const afINET, afINET6 = 2, 10

func event(kind abi.EventType, id uint64, pid uint32, local, remote string, flags abi.TcpFlag) *abi.TcpRecord {
	e := &abi.TcpRecord{}
	e.Header.Type, e.Header.BootNS = uint16(kind), 1000+id
	e.Socket.ID, e.Socket.OpenedNS, e.Socket.EstablishedNS = id, 900+id, 950+id
	e.Socket.Owner = abi.ExecID{StartNS: 1, ExecNS: 1, Tgid: pid}
	e.Socket.Flags, e.Socket.Family, e.Socket.Ends.Netns = uint16(flags), afINET, 1
	set := func(words *[4]uint32, port *uint16, text string) {
		if text == "" {
			text = "0.0.0.0:0"
		}
		a := netip.MustParseAddrPort(text)
		if a.Addr().Is6() {
			e.Socket.Family = afINET6
		}
		for i, b := 0, a.Addr().As16(); i < 4; i++ {
			words[i] = binary.NativeEndian.Uint32(b[4*i:])
		}
		*port = a.Port()
	}
	set(&e.Socket.Ends.Local, &e.Socket.Ends.LocalPort, local)
	set(&e.Socket.Ends.Remote, &e.Socket.Ends.RemotePort, remote)
	return e
}

func inNetns(e *abi.TcpRecord, netns uint32) *abi.TcpRecord {
	e.Socket.Ends.Netns = netns
	return e
}

func resolve(id abi.ExecID) *skepv1.Process {
	return &skepv1.Process{ProcessId: fmt.Sprint("p", id.Tgid), ExecId: fmt.Sprint("e", id.Tgid), Pid: id.Tgid}
}

func newTable() *Table {
	return New(Options{MaxOpen: 100, MaxClosed: 10, ClosedFor: time.Hour})
}

const client, server = "10.0.0.1:5000", "10.0.0.2:80"

func TestLifeOfAConnection(t *testing.T) {
	table := newTable()
	listen := table.Apply(event(abi.EventListen, 1, 7, server, "", abi.TcpListener), resolve)
	if c := listen.GetConnection(); listen.Kind != "listen" || c.Direction != "listen" || c.Remote != nil || c.CommunityId != "" {
		t.Errorf("listen: %v", listen)
	}
	connect := table.Apply(event(abi.EventConnect, 2, 8, client, server, 0), resolve)
	if c := connect.GetConnection(); connect.Process.Pid != 8 || c.Direction != "outbound" || c.Peer != nil {
		t.Errorf("connect: %v", connect)
	}
	if r := table.Apply(event(abi.EventEstablished, 3, 7, server, client, abi.TcpPassive), resolve); r != nil {
		t.Errorf("established makes a record: %v", r)
	}
	accept := table.Apply(event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive), resolve)
	if c := accept.GetConnection(); accept.Process.Pid != 9 || c.Direction != "inbound" || c.Peer.GetPid() != 8 {
		t.Errorf("accept: %v", accept)
	}
	if r := table.Apply(event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive), resolve); r != nil {
		t.Errorf("second accept makes a record: %v", r)
	}
	if n := table.CountByProcess("p9"); n != 1 {
		t.Errorf("worker has %d connections, want 1", n)
	}
	if n := table.CountByProcess("p7"); n != 0 {
		t.Errorf("master has %d connections besides its listener, want 0", n)
	}
	end := event(abi.EventClose, 2, 8, client, server, abi.TcpClosedLocal)
	end.Traffic.BytesSent, end.Reason = 42, uint16(abi.TcpReasonLocal)
	closed := table.Apply(end, resolve)
	if c := closed.GetConnection(); c.Peer.GetPid() != 9 || c.BytesSent != 42 || c.CloseReason != "local" || c.DurationNs != 50 {
		t.Errorf("close: %v", closed)
	}
	// The second end still knows the first, which is gone.
	closed = table.Apply(event(abi.EventClose, 3, 9, server, client, abi.TcpPassive), resolve)
	if closed.GetConnection().Peer.GetPid() != 8 {
		t.Errorf("close of the other end: %v", closed)
	}
	if a, b := connect.GetConnection().CommunityId, closed.GetConnection().CommunityId; a == "" || a != b {
		t.Errorf("community ids %q and %q of one connection", a, b)
	}
	if r := table.Apply(event(abi.EventUnlisten, 1, 7, server, "", abi.TcpListener), resolve); r != nil {
		t.Errorf("end of a listener makes a record: %v", r)
	}
	wantStates(t, table.List(true, Traffic{}), "CLOSED", "CLOSED")
	if open := table.List(false, Traffic{}); len(open) != 0 {
		t.Errorf("left over: %v", open)
	}
	if len(table.ends)+len(table.listeners)+len(table.owners) != 0 {
		t.Errorf("indexes are not empty: %v %v %v", table.ends, table.listeners, table.owners)
	}
}

func TestOpenTraffic(t *testing.T) {
	table := newTable() // event n was established at 950+n
	table.Apply(event(abi.EventListen, 1, 7, server, "", abi.TcpListener), resolve)
	table.Apply(event(abi.EventConnect, 2, 8, client, server, 0), resolve)
	table.Apply(event(abi.EventConnect, 3, 8, client, "10.0.0.2:443", 0), resolve)
	old := event(abi.EventEstablished, 4, 8, client, "10.0.0.2:444", abi.TcpPreexisting)
	old.Socket.EstablishedNS = 0
	table.Apply(old, resolve)
	failed := event(abi.EventConnect, 5, 8, "", server, abi.TcpFailed)
	table.Apply(failed, resolve)
	carried := abi.TcpTraffic{BytesSent: 10, BytesReceived: 20, SegmentsSent: 3, SegmentsReceived: 4, RTTUs: 5, RTTVarUs: 6, Retransmits: 7}
	traffic := Traffic{AtNS: 2000, Of: map[uint64]abi.TcpTraffic{1: carried, 2: carried, 4: carried, 5: carried, 99: carried}}
	got := map[uint64]*skepv1.ConnectionInfo{}
	for _, info := range append(table.List(true, traffic), table.Of("p8", traffic)...) {
		if info.Opened == nil {
			got[4] = info
			continue
		}
		got[uint64(info.Opened.GetNanos())-900] = info
	}
	if c := got[2].Connection; c.BytesSent != 10 || c.BytesReceived != 20 || c.SegmentsSent != 3 || c.SegmentsReceived != 4 ||
		c.RttUs != 5 || c.RttVarUs != 6 || c.Retransmits != 7 || c.DurationNs != 2000-952 || got[2].Counted.GetNanos() != 2000 {
		t.Errorf("open connection: %v", got[2])
	}
	if got[4].Connection.BytesSent != 10 || got[4].Connection.DurationNs != 0 {
		t.Errorf("older than the agent: %v", got[4])
	}
	for _, id := range []uint64{1, 3, 5} { // a listener, one that is not counted, one that failed
		if got[id].Counted != nil || got[id].Connection.BytesSent != 0 {
			t.Errorf("socket %d counts as counted: %v", id, got[id])
		}
	}
	end := event(abi.EventClose, 2, 8, client, server, 0)
	end.Traffic.BytesSent = 11
	table.Apply(end, resolve)
	for _, info := range table.List(true, traffic) {
		if info.State == "CLOSED" && (info.Connection.BytesSent != 11 || info.Counted.GetNanos() != info.Closed.GetNanos()) {
			t.Errorf("what closed has what it had while it was open: %v", info)
		}
	}
}

// On two CPUs at once, an accept may come after the reset of its connection.
func TestAcceptAfterClose(t *testing.T) {
	table := newTable()
	late := event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive)
	late.Socket.State = stateClose
	apply := func(e *abi.TcpRecord) string {
		if r := table.Apply(e, resolve); r != nil {
			return fmt.Sprint(r.Kind, " ", r.Process.GetPid())
		}
		return ""
	}
	for _, step := range []struct {
		e    *abi.TcpRecord
		want string
	}{
		{event(abi.EventEstablished, 3, 7, server, client, abi.TcpPassive), ""},
		{event(abi.EventClose, 3, 7, server, client, abi.TcpPassive), "close 7"},
		{late, "accept 9"},
		{late, ""},
	} {
		if got := apply(step.e); got != step.want {
			t.Errorf("event %d made %q, want %q", step.e.Header.Type, got, step.want)
		}
	}
	if n := len(table.open); n != 0 {
		t.Errorf("%d connections are open", n)
	}
	// Reset before anybody read or wrote: the accept is told first, and the state says CLOSE too.
	table.Apply(event(abi.EventEstablished, 4, 7, server, client, abi.TcpPassive), resolve)
	reset := event(abi.EventAccept, 4, 7, server, client, abi.TcpPassive)
	reset.Socket.State = stateClose
	if got := apply(reset); got != "accept 7" || table.open[4] == nil {
		t.Errorf("accept told at the close made %q, open: %v", got, table.open[4])
	}
}

func wantStates(t *testing.T, list []*skepv1.ConnectionInfo, want ...string) {
	t.Helper()
	var got []string
	for _, info := range list {
		got = append(got, info.State)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("states %v, want %v", got, want)
	}
}

func TestFailedConnect(t *testing.T) {
	table := newTable()
	for _, test := range []struct {
		number uint16
		name   string
	}{{111, "ECONNREFUSED"}, {0, UnknownError}, {9999, UnknownError}} {
		e := event(abi.EventConnect, 5, 8, "", server, abi.TcpFailed)
		e.Error = test.number
		c := table.Apply(e, resolve).GetConnection()
		if c.Error != uint32(test.number) || c.ErrorName != test.name || c.CommunityId != "" {
			t.Errorf("errno %d: %v", test.number, c)
		}
	}
	wantStates(t, table.List(true, Traffic{}), "FAILED", "FAILED", "FAILED")
}

func TestLinks(t *testing.T) {
	const loopClient, loopServer = "127.0.0.1:5000", "127.0.0.1:80"
	for _, test := range []struct {
		name          string
		client        *abi.TcpRecord
		servers       []*abi.TcpRecord
		wantPeer      uint32 // of the client; the servers' pids are their ids
		wantUnrelated []uint64
	}{
		{
			"across namespaces", inNetns(event(abi.EventConnect, 1, 1, client, server, 0), 1),
			[]*abi.TcpRecord{inNetns(event(abi.EventEstablished, 2, 2, server, client, abi.TcpPassive), 2)}, 2, nil,
		}, {
			"loopback elsewhere", inNetns(event(abi.EventConnect, 1, 1, loopClient, loopServer, 0), 1),
			[]*abi.TcpRecord{inNetns(event(abi.EventEstablished, 2, 2, loopServer, loopClient, abi.TcpPassive), 2)}, 0, []uint64{2},
		}, {
			"another host", event(abi.EventConnect, 1, 1, client, server, 0),
			[]*abi.TcpRecord{event(abi.EventEstablished, 2, 2, server, "10.0.0.3:5000", abi.TcpPassive)}, 0, []uint64{2},
		}, {
			"one link only", event(abi.EventConnect, 1, 1, client, server, 0),
			[]*abi.TcpRecord{
				event(abi.EventEstablished, 2, 2, server, client, abi.TcpPassive),
				inNetns(event(abi.EventEstablished, 3, 3, server, client, abi.TcpPassive), 3),
			}, 2, []uint64{3},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := newTable()
			table.Apply(test.client, resolve)
			for _, e := range test.servers {
				table.Apply(e, resolve)
			}
			if got := table.Of("p1", Traffic{})[0].Connection.Peer.GetPid(); got != test.wantPeer {
				t.Errorf("client's peer is %d, want %d", got, test.wantPeer)
			}
			for _, id := range test.wantUnrelated {
				if got := table.Of(fmt.Sprint("p", id), Traffic{})[0].Connection.Peer; got != nil {
					t.Errorf("server %d has peer %v", id, got)
				}
			}
		})
	}
}

func TestSeed(t *testing.T) {
	table := newTable()
	old := abi.TcpPreexisting
	// Both holders of the inherited socket are scanned, before the listener.
	table.Seed(event(abi.EventEstablished, 2, 7, server, client, old), resolve)
	table.Seed(event(abi.EventEstablished, 2, 8, server, client, old), resolve)
	table.Seed(event(abi.EventListen, 1, 7, server, "", abi.TcpPreexisting|abi.TcpListener), resolve)
	table.Seeded()
	list := table.Of("p7", Traffic{})
	wantStates(t, list, "ESTABLISHED", "LISTEN")
	if c := list[0].Connection; c.Direction != "inbound" || !c.Preexisting {
		t.Errorf("seeded connection: %v", c)
	}
	for _, info := range list {
		if info.Opened != nil {
			t.Errorf("the scan's time counts as that of the socket: %v", info)
		}
	}
	if got := table.Of("p8", Traffic{}); len(got) != 0 {
		t.Errorf("second holder owns %v", got)
	}
	// A scan may see what the ring still holds the events of: they make their records.
	table.Seed(event(abi.EventEstablished, 3, 9, server, "10.0.0.9:1", abi.TcpPassive), resolve)
	if r := table.Apply(event(abi.EventAccept, 3, 9, server, "10.0.0.9:1", abi.TcpPassive), resolve); r == nil {
		t.Error("accept of a seeded socket makes no record")
	}
}

// A connection that is older than the agent keeps the direction that its listener gave it,
// in the table and in its record, though the listener ends before it or after it.
func TestDirectionStays(t *testing.T) {
	table := newTable()
	for id, remote := range map[uint64]string{2: client, 3: "10.0.0.9:1"} {
		table.Seed(event(abi.EventEstablished, id, 7, server, remote, abi.TcpPreexisting), resolve)
	}
	table.Seed(event(abi.EventEstablished, 4, 8, client, server, abi.TcpPreexisting), resolve)
	table.Seed(event(abi.EventListen, 1, 7, server, "", abi.TcpPreexisting|abi.TcpListener), resolve)
	table.Seeded()
	close := func(id uint64, local, remote, want string) {
		t.Helper()
		r := table.Apply(event(abi.EventClose, id, 7, local, remote, abi.TcpPreexisting), resolve)
		if got := r.GetConnection().Direction; got != want {
			t.Errorf("close of %d is %s, want %s", id, got, want)
		}
	}
	close(2, server, client, "inbound")
	table.Apply(event(abi.EventUnlisten, 1, 7, server, "", abi.TcpPreexisting|abi.TcpListener), resolve)
	close(3, server, "10.0.0.9:1", "inbound")
	// One that starts to listen on a port makes nothing inbound that was not.
	table.Apply(event(abi.EventListen, 5, 8, client, "", abi.TcpListener), resolve)
	close(4, client, server, "outbound")
	var got []string
	for _, info := range table.List(true, Traffic{}) {
		got = append(got, fmt.Sprint(info.State, " ", info.Connection.Local.Port, " ", info.Connection.Direction))
	}
	slices.Sort(got)
	if want := []string{"CLOSED 5000 outbound", "CLOSED 80 inbound", "CLOSED 80 inbound", "LISTEN 5000 listen"}; !slices.Equal(got, want) {
		t.Errorf("listed: %v, want %v", got, want)
	}
}

func TestBounds(t *testing.T) {
	table := New(Options{MaxOpen: 10, MaxClosed: 5, ClosedFor: time.Hour})
	for id := uint64(1); id <= 20; id++ {
		e := event(abi.EventConnect, id, 1, fmt.Sprintf("10.0.0.1:%d", id), server, 0)
		if r := table.Apply(e, resolve); r.GetConnection().Remote.Port != 80 {
			t.Fatalf("record of connection %d: %v", id, r)
		}
	}
	if s := table.Stats(); s != (Stats{Open: 10, Untracked: 10}) {
		t.Errorf("after 20 connects: %+v", s)
	}
	for id := uint64(1); id <= 20; id++ {
		e := event(abi.EventClose, id, 1, fmt.Sprintf("10.0.0.1:%d", id), server, 0)
		if r := table.Apply(e, resolve); r.GetConnection().Local.Port != uint32(id) {
			t.Fatalf("record of close %d: %v", id, r)
		}
	}
	if s := table.Stats(); s != (Stats{Closed: 5, Untracked: 10}) {
		t.Errorf("after 20 closes: %+v", s)
	}
	late := event(abi.EventConnect, 30, 1, client, server, abi.TcpFailed)
	late.Header.BootNS = uint64(2 * time.Hour)
	table.Apply(late, resolve)
	if s := table.Stats(); s.Closed != 1 {
		t.Errorf("two hours later %d are remembered, want 1", s.Closed)
	}
}

func TestReadersWhileWriting(t *testing.T) {
	table := New(Options{MaxOpen: 50, MaxClosed: 20, ClosedFor: time.Hour})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, info := range table.List(true, Traffic{}) {
					_ = info.String()
				}
				table.Of("p1", Traffic{})
				table.CountByProcess("p2")
			}
		})
	}
	for id := uint64(1); id < 2000; id += 2 {
		table.Apply(event(abi.EventConnect, id, 1, client, server, 0), resolve)
		table.Apply(event(abi.EventEstablished, id+1, 2, server, client, abi.TcpPassive), resolve)
		table.Apply(event(abi.EventAccept, id+1, 3, server, client, abi.TcpPassive), resolve)
		table.Apply(event(abi.EventClose, id, 1, client, server, 0), resolve)
		table.Apply(event(abi.EventClose, id+1, 3, server, client, abi.TcpPassive), resolve)
	}
	close(done)
	readers.Wait()
}

// FuzzApply feeds a series of arbitrary records: the table neither panics nor grows
// beyond its bounds, and its indexes stay in step.
func FuzzApply(f *testing.F) {
	size := int(unsafe.Sizeof(abi.TcpRecord{}))
	var seed []byte
	for _, e := range []*abi.TcpRecord{
		event(abi.EventListen, 1, 7, server, "", abi.TcpListener),
		event(abi.EventConnect, 2, 8, client, server, 0),
		event(abi.EventEstablished, 3, 7, server, client, abi.TcpPassive),
		event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive),
		event(abi.EventClose, 2, 8, client, server, 0),
		event(abi.EventUnlisten, 1, 7, server, "", abi.TcpListener),
	} {
		seed = append(seed, unsafe.Slice((*byte)(unsafe.Pointer(e)), size)...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		table := New(Options{MaxOpen: 3, MaxClosed: 2, ClosedFor: time.Second})
		for len(data) >= size {
			var e abi.TcpRecord
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&e)), size), data)
			data = data[size:]
			table.Apply(&e, resolve)
			table.List(true, Traffic{})
			checkIndexes(t, table)
		}
	})
}

func checkIndexes(t *testing.T, table *Table) {
	if s := table.Stats(); s.Open > 3 || s.Closed > 2 {
		t.Fatalf("beyond the bounds: %+v", s)
	}
	chained, owned, listeners := 0, 0, 0
	for pair, c := range table.ends {
		for ahead := (*conn)(nil); c != nil; ahead, c = c, c.ofPair {
			if chained++; c.ahead != ahead || c.pair != pair || table.open[c.socket.ID] != c {
				t.Fatalf("socket %d is chained wrongly", c.socket.ID)
			}
		}
	}
	for _, o := range table.owners {
		for c := o.first; c != nil; c = c.behind {
			owned++
		}
	}
	for _, n := range table.listeners {
		listeners += n
	}
	if chained+listeners != len(table.open) || owned > len(table.open) || listeners > len(table.open) {
		t.Fatalf("%d open, %d chained, %d owned, %d listeners", len(table.open), chained, owned, listeners)
	}
}

// BenchmarkConnection is the five events of a connection of this host to itself, which make four records.
func BenchmarkConnection(b *testing.B) {
	table := New(Options{MaxOpen: 65536, MaxClosed: 4096, ClosedFor: time.Minute})
	p := resolve(abi.ExecID{Tgid: 1})
	resolve := func(abi.ExecID) *skepv1.Process { return p }
	events := []*abi.TcpRecord{
		event(abi.EventConnect, 1, 1, client, server, 0),
		event(abi.EventEstablished, 2, 2, server, client, abi.TcpPassive),
		event(abi.EventAccept, 2, 3, server, client, abi.TcpPassive),
		event(abi.EventClose, 1, 1, client, server, 0),
		event(abi.EventClose, 2, 3, server, client, abi.TcpPassive),
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, e := range events {
			table.Apply(e, resolve)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
}
