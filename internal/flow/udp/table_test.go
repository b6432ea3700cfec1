// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// counts stands for the kernel's map.
type counts map[abi.UdpKey]abi.UdpFlow

func (c counts) Each(fn func(*abi.UdpKey, *abi.UdpFlow)) error {
	for k, v := range c {
		fn(&k, &v)
	}
	return nil
}

func (c counts) Take(k *abi.UdpKey) (abi.UdpFlow, bool, error) {
	v, ok := c[*k]
	delete(c, *k)
	return v, ok, nil
}

type told struct {
	atNS uint64
	*skepv1.Record
}

// bench is a table, its source and what it has told. Its clocks are a day apart, as after a
// suspend.
type bench struct {
	*Table
	counts counts
	told   []told
}

const asleep = 24 * time.Hour

func newBench() *bench {
	b := &bench{counts: counts{}}
	b.Table = New(Options{
		Wall:    func(ns uint64) time.Time { return time.Unix(0, int64(ns)) },
		Name:    func(uint32, netip.Addr, string, uint64) string { return "name.example" },
		Publish: func(ns uint64, r *skepv1.Record) { b.told = append(b.told, told{ns, r}) },
	})
	return b
}

func at(d time.Duration) uint64 { return uint64(asleep + d) }

// pass is one at a time after the start; it returns what it has told.
func (b *bench) pass(t *testing.T, after time.Duration) []told {
	t.Helper()
	b.told = nil
	if err := b.Pass(b.counts, Now{Boot: at(after), Monotonic: uint64(after)}, resolve); err != nil {
		t.Fatal(err)
	}
	return b.told
}

func resolve(id abi.ExecID) *skepv1.Process {
	return &skepv1.Process{ProcessId: string(rune('a' + id.Tgid)), Pid: id.Tgid}
}

func words(address string) (w [4]uint32) {
	b := netip.MustParseAddr(address).As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// send counts a datagram of 100 bytes from a socket.
func (b *bench) send(socket uint64, local, remote string, after time.Duration) {
	from, to := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	k := abi.UdpKey{Socket: socket, Remote: words(to.Addr().String()), RemotePort: to.Port()}
	v, ok := b.counts[k]
	if !ok {
		v = abi.UdpFlow{FirstNS: at(after), Local: words(from.Addr().String()), LocalPort: from.Port(), Family: unix.AF_INET6, Netns: 7,
			Owner: abi.ExecID{Tgid: uint32(socket)}, Source: uint8(abi.UdpSourceSend)}
	}
	v.BytesSent += 100
	v.PacketsSent++
	v.LastNS = uint64(after)
	b.counts[k] = v
}

func TestClosed(t *testing.T) {
	b := newBench()
	b.send(1, "127.0.0.1:1000", "127.0.0.1:53", time.Second)
	b.send(2, "127.0.0.1:53", "127.0.0.1:1000", time.Second)
	b.send(1, "127.0.0.1:1000", "127.0.0.1:53", 3*time.Second)
	if got := b.pass(t, 4*time.Second); len(got) != 0 || b.Open() != 2 {
		t.Fatalf("told %v, %d open", got, b.Open())
	}
	if b.Due(at(5 * time.Second)) {
		t.Error("due again at once")
	}
	b.Closed(1, at(5*time.Second))
	b.Closed(1000, at(5*time.Second)) // with flows that are told of already
	if !b.Due(at(5 * time.Second)) {
		t.Error("not due after a close")
	}
	b.send(1, "127.0.0.1:1000", "127.0.0.1:53", 5*time.Second) // the last, under way at the close
	if got := b.pass(t, 5*time.Second); len(got) != 0 {
		t.Fatalf("told %v while datagrams may be under way", got)
	}
	got := b.pass(t, 6*time.Second)
	if len(got) != 1 || len(b.counts) != 1 || b.Open() != 1 {
		t.Fatalf("told %v, %d left, %d open", got, len(b.counts), b.Open())
	}
	c := got[0].GetConnection()
	if got[0].atNS != at(5*time.Second) || got[0].Kind != "udp" || got[0].Process.GetPid() != 1 || c.GetPeer().GetPid() != 2 {
		t.Errorf("record %v at %d", got[0].Record, got[0].atNS)
	}
	if c.BytesSent != 300 || c.PacketsSent != 3 || c.DurationNs != uint64(4*time.Second) || c.IdleNs != 0 || c.CloseReason != "closed" {
		t.Errorf("connection %v", c)
	}
	if c.Protocol != "udp" || c.Direction != "outbound" || c.Family != "ipv4" || !c.V4Mapped || c.OwnerSource != "send" || c.RemoteName != "name.example" ||
		c.Local.GetPort() != 1000 || c.Remote.GetAddress() != "127.0.0.1" || c.CommunityId == "" || c.Netns != 7 {
		t.Errorf("connection %v", c)
	}
	if b.pass(t, 7*time.Second); b.Due(at(8 * time.Second)) {
		t.Error("a closed socket is not forgotten")
	}
	b.Closed(2, at(8*time.Second))
	if got := b.pass(t, 9*time.Second); len(got) != 1 || got[0].GetConnection().GetPeer().GetPid() != 1 {
		t.Errorf("told %v, want the other end with its peer", got)
	}
}

// TestSums: what goes on is told each minute, what is idle is told and forgotten, and the
// records with a reason add up.
func TestSums(t *testing.T) {
	b := newBench()
	var sent, reported uint64
	var soFar []uint64
	for after := time.Duration(0); after < 10*time.Minute; after += 5 * time.Second {
		if minute := after / time.Minute; minute < 4 || minute > 5 {
			b.send(1, "10.0.0.1:1000", "10.0.0.2:53", after)
			sent += 100
		}
		for _, r := range b.pass(t, after) {
			c := r.GetConnection()
			switch c.CloseReason {
			case "":
				soFar = append(soFar, c.BytesSent)
			case "idle":
				reported += c.BytesSent
				if c.IdleNs < uint64(IdleAfter) {
					t.Errorf("idle for %d ns", c.IdleNs)
				}
			default:
				t.Errorf("record %v", r.Record)
			}
		}
	}
	for _, i := range b.List() {
		reported += i.Connection.BytesSent
	}
	if sent != reported || !slices.Equal(soFar, []uint64{1300, 2500, 3700, 4800, 1300, 2500, 3700}) {
		t.Errorf("%d bytes reported of %d, so far %v", reported, sent, soFar)
	}
}

func TestAbandon(t *testing.T) {
	b := newBench()
	b.send(1, "10.0.0.1:1000", "10.0.0.2:53", 0)
	b.pass(t, time.Second)
	b.send(1, "10.0.0.1:1000", "10.0.0.2:53", time.Second)
	b.send(2, "10.0.0.1:1001", "10.0.0.2:53", time.Second)
	b.told = nil
	if err := b.Abandon(b.counts, Now{Boot: at(2 * time.Second), Monotonic: uint64(2 * time.Second)}, resolve); err != nil {
		t.Fatal(err)
	}
	var sent uint64
	for _, r := range b.told {
		if r.GetConnection().CloseReason != "abandoned" {
			t.Errorf("record %v", r.Record)
		}
		sent += r.GetConnection().BytesSent
	}
	if len(b.told) != 2 || sent != 300 || len(b.counts) != 0 || b.Open() != 0 {
		t.Errorf("told %v, %d left", b.told, len(b.counts))
	}
}

// TestVanished: what somebody else takes out of the map leaves the table.
func TestVanished(t *testing.T) {
	b := newBench()
	b.send(1, "10.0.0.1:1000", "10.0.0.2:53", 0)
	b.pass(t, time.Second)
	clear(b.counts)
	if got := b.pass(t, 2*time.Second); len(got) != 0 || b.Open() != 0 || len(b.ends) != 0 {
		t.Errorf("told %v, %d open, %d ends", got, b.Open(), len(b.ends))
	}
}

// TestLoopbackIsAPlace: the same addresses in two network namespaces are no two ends.
func TestLoopbackIsAPlace(t *testing.T) {
	b := newBench()
	b.send(1, "127.0.0.1:1000", "127.0.0.1:53", 0)
	b.send(2, "127.0.0.1:53", "127.0.0.1:1000", 0)
	for k, v := range b.counts {
		v.Netns = uint32(k.Socket)
		b.counts[k] = v
	}
	b.pass(t, time.Second)
	for _, i := range b.List() {
		if i.Connection.Peer != nil {
			t.Errorf("linked: %v", i)
		}
	}
	if of := b.Of(resolve(abi.ExecID{Tgid: 2}).ProcessId); len(of) != 1 || of[0].Connection.Local.GetPort() != 53 || of[0].State != State {
		t.Errorf("of the second: %v", of)
	}
}

// TestOwnerShows: whoever sends first takes over what was only bound by another.
func TestOwnerShows(t *testing.T) {
	b := newBench()
	b.send(1, "10.0.0.1:1000", "10.0.0.2:53", 0)
	for k, v := range b.counts {
		v.Owner, v.Source = abi.ExecID{}, 0
		b.counts[k] = v
		b.pass(t, time.Second)
		if i := b.List()[0]; i.Process != nil {
			t.Errorf("owner %v", i.Process)
		}
		v.Owner, v.Source = abi.ExecID{Tgid: 9}, uint8(abi.UdpSourceSend)
		b.counts[k] = v
	}
	b.pass(t, 6*time.Second)
	if i := b.List()[0]; i.Process.GetPid() != 9 {
		t.Errorf("owner %v", i.Process)
	}
}

// TestJustBegun: a flow that is met between its entry and its first count has not ended.
func TestJustBegun(t *testing.T) {
	b := newBench()
	b.send(1, "10.0.0.1:1000", "10.0.0.2:53", time.Hour)
	for k, v := range b.counts {
		v.BytesSent, v.PacketsSent, v.LastNS = 0, 0, 0
		b.counts[k] = v
	}
	if got := b.pass(t, time.Hour); len(got) != 0 || b.Open() != 1 {
		t.Fatalf("told %v, %d open", got, b.Open())
	}
	b.send(1, "10.0.0.1:1000", "10.0.0.2:53", time.Hour)
	if got := b.pass(t, time.Hour+IdleAfter); len(got) != 1 || got[0].GetConnection().GetCloseReason() != "idle" || got[0].GetConnection().GetPacketsSent() != 1 {
		t.Fatalf("told %v", got)
	}
}
