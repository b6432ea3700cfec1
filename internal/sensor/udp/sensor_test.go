// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/sensortest"
)

// counted is one flow of the map.
type counted struct {
	abi.UdpKey
	abi.UdpFlow
}

func (c counted) remote() string {
	return netip.AddrPortFrom(address(c.Remote), c.RemotePort).String()
}

func (c counted) local() string {
	return netip.AddrPortFrom(address(c.Local), c.LocalPort).String()
}

func address(words [4]uint32) netip.Addr {
	var b [16]byte
	for i, w := range words {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrFrom16(b).Unmap()
}

// take takes all that has been counted in a network namespace, by the remote end.
func (w *watch) take(t *testing.T, netns uint32) map[string]counted {
	t.Helper()
	all := map[string]counted{}
	if err := w.flows.Each(func(k *abi.UdpKey, v *abi.UdpFlow) {
		if v.Netns != netns {
			return // the host's
		}
		all[counted{*k, *v}.remote()] = counted{*k, *v}
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if last, ok, err := w.flows.Take(&c.UdpKey); err != nil || !ok || last != c.UdpFlow {
			t.Fatalf("take %v: %v, %v", c.remote(), ok, err)
		}
		if _, ok, err := w.flows.Take(&c.UdpKey); err != nil || ok {
			t.Fatalf("taken twice: %v", err)
		}
	}
	return all
}

// needRung skips where a rung cannot be had for a reason that is the kernel's age.
func needRung(t *testing.T, rung string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	if err := features.HaveProgramHelper(ebpf.CGroupSKB, asm.FnGetCurrentTaskBtf); err != nil && rung == "cgroup_skb" {
		t.Skipf("needs a typed pointer to the current task in cgroup_skb programs: %v", err)
	}
}

// TestCounts: bytes and datagrams each way, at both ends, are those that were sent.
func TestCounts(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			netns := sensortest.OwnNetwork(t)
			w := start(t, rung.Name, kern.Options{})
			port := echo(t, "udp", "[::]:0").Port
			for _, c := range []struct{ role, network, address string }{
				{"connected", "udp4", "127.0.0.1"}, {"connected", "udp6", "::1"}, {"loose", "udp4", "127.0.0.1"},
				{"loose", "udp6", "::1"}, {"loose", "udp", "127.0.0.1"}, // on a socket for both
			} {
				server := netip.AddrPortFrom(netip.MustParseAddr(c.address), uint16(port)).String()
				pid := child(t, nil, c.role, c.network, server)
				all := w.take(t, netns)
				out := all[server]
				in := all[out.local()]
				name := strings.Join([]string{c.role, c.network, c.address}, " ")
				if len(all) != 2 || in.local() != server {
					t.Fatalf("%s: flows %v", name, all)
				}
				n := uint64(len(sizes))
				checkFlow(t, name+" out", out, abi.UdpFlow{Owner: abi.ExecID{Tgid: pid}, BytesSent: bytesOfSizes, PacketsSent: n,
					BytesReceived: 2 * bytesOfSizes, PacketsReceived: 2 * n})
				checkFlow(t, name+" in", in, abi.UdpFlow{Owner: abi.ExecID{Tgid: uint32(os.Getpid())}, BytesSent: 2 * bytesOfSizes, PacketsSent: 2 * n,
					BytesReceived: bytesOfSizes, PacketsReceived: n, Flags: uint8(abi.UdpInbound)})
			}
		})
	}
}

func checkFlow(t *testing.T, name string, got counted, want abi.UdpFlow) {
	t.Helper()
	if got.BytesSent != want.BytesSent || got.PacketsSent != want.PacketsSent ||
		got.BytesReceived != want.BytesReceived || got.PacketsReceived != want.PacketsReceived {
		t.Errorf("%s: %+v, want the counts of %+v", name, got.UdpFlow, want)
	}
	exec := got.Owner.ExecNS != 0 || got.Owner.Tgid == uint32(os.Getpid()) // that of this process was before the programs
	if got.Owner.Tgid != want.Owner.Tgid || !exec || abi.UdpSource(got.Source) != abi.UdpSourceSend || got.Flags != want.Flags {
		t.Errorf("%s: owner %+v by %d, flags %d; want %d by sending, flags %d", name, got.Owner, got.Source, got.Flags, want.Owner.Tgid, want.Flags)
	}
}

// TestPeers: one socket and many peers, each with a flow of its own.
func TestPeers(t *testing.T) {
	netns := sensortest.OwnNetwork(t)
	w := start(t, "", kern.Options{})
	from := socket(t)
	for i := range 50 {
		to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(i)}, Port: 9}
		peer := socket(t)
		if err := unix.Bind(peer, to); err != nil {
			t.Fatal(err)
		}
		for range i + 1 {
			send(t, from, to, "0123456789")
		}
	}
	var out int
	for remote, c := range w.take(t, netns) {
		if c.PacketsSent == 0 {
			continue // the other end: all have the same remote, so that one is left
		}
		out++
		n := uint64(address(c.Remote).As4()[3]) + 1
		if c.PacketsSent != n || c.BytesSent != 10*n || c.PacketsReceived != 0 {
			t.Errorf("to %s: %+v, want %d", remote, c.UdpFlow, n)
		}
	}
	if out != 50 {
		t.Errorf("%d flows, want 50", out)
	}
}

// TestOwners: whose a socket is that one process has bound and another one uses.
func TestOwners(t *testing.T) {
	netns := sensortest.OwnNetwork(t)
	w := start(t, "", kern.Options{})
	for _, c := range []struct {
		role   string
		source abi.UdpSource
		child  bool
	}{{"receive", abi.UdpSourceBind, false}, {"receive_from", abi.UdpSourceReceive, true}, {"answer", abi.UdpSourceSend, true}} {
		fd, name := bound(t)
		dup, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(dup), "bound")
		sender, from := bound(t)
		send(t, sender, name, "one")
		pid := child(t, file, c.role, "1")
		file.Close()
		send(t, sender, name, "two")
		flow, ok := w.take(t, netns)[fmt.Sprintf("127.0.0.1:%d", from.Port)]
		want := uint32(os.Getpid())
		if c.child {
			want = pid
		}
		if !ok || flow.Owner.Tgid != want || abi.UdpSource(flow.Source) != c.source || flow.PacketsReceived != 2 {
			t.Errorf("%s: %+v, want owner %d by %d", c.role, flow.UdpFlow, want, c.source)
		}
	}
}

// TestExisting: a socket that is older than the programs is found by a scan.
func TestExisting(t *testing.T) {
	needRung(t, "cgroup_skb")
	netns := sensortest.OwnNetwork(t)
	_, name := bound(t)
	w := start(t, "", kern.Options{})
	sender, from := bound(t)
	if _, err := w.kernel.Scan(Sensor(), ExistingProgram); err != nil {
		t.Fatal(err)
	}
	send(t, sender, name, "text")
	flow := w.take(t, netns)[fmt.Sprintf("127.0.0.1:%d", from.Port)]
	if flow.Owner.Tgid != uint32(os.Getpid()) || abi.UdpSource(flow.Source) != abi.UdpSourceScan || flow.Flags&uint8(abi.UdpPreexisting) == 0 {
		t.Errorf("%+v", flow.UdpFlow)
	}
}

// TestTrain: what is sent as one with UDP_SEGMENT counts as the datagrams that it is made of,
// whether the receiver takes them as one (UDP_GRO) or not.
func TestTrain(t *testing.T) {
	netns := sensortest.OwnNetwork(t)
	w := start(t, "", kern.Options{})
	for _, gro := range []int{0, 1} {
		receiver, to := bound(t)
		sender, from := bound(t)
		if err := unix.SetsockoptInt(receiver, unix.IPPROTO_UDP, unix.UDP_GRO, gro); err != nil {
			t.Fatal(err)
		}
		if err := unix.SetsockoptInt(sender, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000); err != nil {
			t.Fatal(err)
		}
		send(t, sender, to, strings.Repeat("x", 4500))
		all := w.take(t, netns)
		out, in := all[fmt.Sprintf("127.0.0.1:%d", to.Port)], all[fmt.Sprintf("127.0.0.1:%d", from.Port)]
		if out.PacketsSent != 5 || out.BytesSent != 4500 {
			t.Errorf("GRO %d: sent %+v, want 4500 bytes in 5", gro, out.UdpFlow)
		}
		if in.PacketsReceived != 5 || in.BytesReceived != 4500 {
			t.Errorf("GRO %d: received %+v, want 4500 bytes in 5", gro, in.UdpFlow)
		}
	}
}

// TestFull: flows and lost datagrams together are what was sent.
func TestFull(t *testing.T) {
	netns := sensortest.OwnNetwork(t)
	w := start(t, "", kern.Options{MapEntries: map[string]uint32{FlowsMap: 8}})
	from := socket(t)
	const n = 40
	for i := range n {
		send(t, from, &unix.SockaddrInet4{Addr: loopback, Port: 2000 + i}, "x")
	}
	var losses kern.Losses
	if err := w.kernel.ReadLosses(&losses); err != nil {
		t.Fatal(err)
	}
	lost, kept := int(losses[abi.LossUntracked][abi.EventUdp]), len(w.take(t, netns))
	if kept == 0 || lost == 0 || kept+lost < n {
		t.Errorf("%d flows and %d lost of %d datagrams", kept, lost, n)
	}
}

// TestClosed: a socket with flows is told of when it is closed, once, and no other.
func TestClosed(t *testing.T) {
	netns := sensortest.OwnNetwork(t)
	w := start(t, "", kern.Options{})
	_, to := bound(t)
	var silent, talking net.PacketConn
	for _, c := range []*net.PacketConn{&silent, &talking} {
		var err error
		if *c, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := talking.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IP(to.Addr[:]), Port: to.Port}); err != nil {
		t.Fatal(err)
	}
	silent.Close()
	talking.Close()
	w.reader.Pass(w)
	flow := w.take(t, netns)[fmt.Sprintf("127.0.0.1:%d", to.Port)]
	if w.closed[flow.Socket] != 1 {
		t.Errorf("closed %v, want %d once", w.closed, flow.Socket)
	}
}
