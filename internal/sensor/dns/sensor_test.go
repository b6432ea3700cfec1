// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/sensortest"
)

// dialogues are the ways in which a client asks: role, network, address asked at, and
// the address as a record shows it.
var dialogues = []struct{ role, network, address, shown string }{
	{"ask", "udp4", "127.0.0.1:53", "127.0.0.1"},
	{"ask", "udp6", "[::1]:53", "::1"},
	{"ask", "tcp4", "127.0.0.1:53", "127.0.0.1"},
	{"ask", "tcp6", "[::1]:53", "::1"},
	{"loose", "udp4", "127.0.0.1:53", "127.0.0.1"},
	{"loose", "udp6", "[::1]:53", "::1"},
	{"loose", "udp", "127.0.0.1:53", "127.0.0.1"}, // a socket for both
}

func TestDialogues(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			netns := sensortest.OwnNetwork(t)
			w := start(t, rung.Name)
			for _, network := range []string{"udp", "tcp"} {
				serve(t, network, "[::]:53")
			}
			for _, d := range dialogues {
				pid := client(t, nil, d.role, d.network, d.address)
				w.wantDialogue(t, strings.Join([]string{d.role, d.network, d.address}, " "), pid, netns, d.shown, isTCP(d.network))
			}
		})
	}
}

// needRung skips a rung only where the kernel has not what it is made of.
func needRung(t *testing.T, rung string) {
	t.Helper()
	if rung != "cgroup_skb" {
		return
	}
	if err := features.HaveProgramHelper(ebpf.CGroupSKB, asm.FnGetCurrentTaskBtf); errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("needs a typed pointer to the current task in cgroup_skb programs: %v", err)
	}
}

// wantDialogue waits for a question and its answer, and nothing else.
func (w *watch) wantDialogue(t *testing.T, what string, pid, netns uint32, server string, tcp bool) {
	t.Helper()
	w.packets = nil
	w.until(t, what, func(p []packet) bool { return len(p) >= 2 })
	time.Sleep(20 * time.Millisecond)
	w.reader.Pass(w)
	if len(w.packets) != 2 {
		t.Fatalf("%s: %d packets: %+v", what, len(w.packets), w.packets)
	}
	asked, answered := w.packets[0], w.packets[1]
	if asked.incoming() || !answered.incoming() {
		t.Fatalf("%s: directions %v and %v", what, asked.Flags, answered.Flags)
	}
	if string(asked.payload) != question || string(answered.payload) != reply || int(asked.Length) != len(question) || int(answered.Length) != len(reply) {
		t.Errorf("%s: payloads %q and %q of %d and %d bytes", what, asked.payload, answered.payload, asked.Length, answered.Length)
	}
	if asked.Socket == 0 || asked.Socket != answered.Socket {
		t.Errorf("%s: sockets %d and %d", what, asked.Socket, answered.Socket)
	}
	if asked.Owner.Tgid != pid || asked.Owner.ExecNS <= asked.Owner.StartNS {
		t.Errorf("%s: owner %+v, want process %d after its exec", what, asked.Owner, pid)
	}
	if asked.Netns != netns {
		t.Errorf("%s: network namespace %d, want %d", what, asked.Netns, netns)
	}
	for _, p := range w.packets {
		if got := address(p.Remote); got.String() != server || p.RemotePort != 53 {
			t.Errorf("%s: server %v port %d, want %s port 53", what, got, p.RemotePort, server)
		}
		if got := address(p.Local); got.String() != server || p.LocalPort == 0 || p.LocalPort != asked.LocalPort {
			t.Errorf("%s: client %v port %d", what, got, p.LocalPort)
		}
		if want := uint8(17); !tcp && p.Protocol != want || tcp && (p.Protocol != 6 || p.Sequence == 0) {
			t.Errorf("%s: protocol %d, sequence %d", what, p.Protocol, p.Sequence)
		}
	}
}

func address(words [4]uint32) netip.Addr {
	var b [16]byte
	for i, w := range words {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrFrom16(b).Unmap()
}

// TestInherited: one process opens and connects the socket, another one asks.
func TestInherited(t *testing.T) {
	netns := sensortest.OwnNetwork(t)
	w := start(t, "")
	serve(t, "udp4", "127.0.0.1:53")
	serve(t, "tcp4", "127.0.0.1:53")
	for _, network := range []string{"udp4", "tcp4"} {
		c, err := net.Dial(network, "127.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		file, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		pid := client(t, file, "inherited", network)
		w.wantDialogue(t, network+" inherited", pid, netns, "127.0.0.1", isTCP(network))
		file.Close()
		c.Close()
	}
}

// TestRewritten: the destination's port is translated on the way, as Docker does it; the
// record says what the process asked for.
func TestRewritten(t *testing.T) {
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skipf("needs iptables: %v", err)
	}
	netns := sensortest.OwnNetwork(t)
	w := start(t, "")
	for _, protocol := range []string{"udp", "tcp"} {
		serve(t, protocol+"4", "127.0.0.11:5454")
		rule := "-t nat -A OUTPUT -d 127.0.0.11 -p " + protocol + " --dport 53 -j DNAT --to-destination 127.0.0.11:5454"
		if out, err := exec.Command("iptables", strings.Fields(rule)...).CombinedOutput(); err != nil {
			t.Fatalf("iptables: %v: %s", err, out)
		}
	}
	for _, d := range [][2]string{{"ask", "udp4"}, {"ask", "tcp4"}, {"loose", "udp4"}} {
		pid := client(t, nil, d[0], d[1], "127.0.0.11:53")
		w.packets = nil
		w.until(t, "rewritten "+d[1], func(p []packet) bool { return len(p) >= 2 })
		for i, p := range w.packets {
			if address(p.Remote).String() != "127.0.0.11" || p.RemotePort != 53 || len(w.packets) != 2 || p.incoming() != (i == 1) {
				t.Errorf("%v: packet %+v of %d, want one each way with 127.0.0.11 port 53", d, p, len(w.packets))
			}
		}
		if o := w.packets[0].Owner; o.Tgid != pid || w.packets[0].Netns != netns {
			t.Errorf("%v: owner %+v, want %d", d, o, pid)
		}
	}
}

// TestSizes: what of a payload is captured, for each room and around its bounds.
func TestSizes(t *testing.T) {
	sensortest.OwnNetwork(t)
	w := start(t, "")
	discard(t, "127.0.0.1:53") // or an ICMP error would fail some later write
	c, err := net.Dial("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int{1, 2, 127, 128, 129, 511, 512, 513, 4095, 4096, 4097, 30000, 65507} {
		payload := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		w.packets = nil
		if _, err := c.Write(payload); err != nil {
			t.Fatalf("send %d bytes: %v", size, err)
		}
		w.until(t, fmt.Sprint(size, " bytes"), func(p []packet) bool { return len(p) == 1 })
		p := w.packets[0]
		if int(p.Length) != size || !bytes.Equal(p.payload, payload[:min(size, 4096)]) {
			t.Errorf("%d bytes: length %d, %d captured", size, p.Length, len(p.payload))
		}
	}
}

// discard takes what comes and answers nothing, until the test ends.
func discard(t *testing.T, address string) {
	t.Helper()
	c, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buffer := make([]byte, 64<<10)
		for err := error(nil); err == nil; {
			_, _, err = c.ReadFrom(buffer)
		}
	}()
}

// TestOthers: what is no DNS makes no record.
func TestOthers(t *testing.T) {
	sensortest.OwnNetwork(t)
	w := start(t, "")
	// Somebody sends from a server's port to a socket that has asked nobody.
	stranger, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 53}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5302})
	if err != nil {
		t.Fatal(err)
	}
	deaf, err := net.ListenPacket("udp4", "127.0.0.1:5302")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	if _, err := stranger.Write([]byte(reply)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := deaf.ReadFrom(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	stranger.Close()
	for _, network := range []string{"udp", "tcp"} {
		serve(t, network, "[::]:5300")
		serve(t, network, "[::]:53")
	}
	for _, d := range dialogues {
		client(t, nil, d.role, d.network, strings.Replace(d.address, ":53", ":5300", 1))
	}
	client(t, nil, "ask", "udp4", "127.0.0.1:53")
	w.until(t, "the one that is", func(p []packet) bool { return len(p) >= 2 })
	if len(w.packets) != 2 {
		t.Errorf("%d packets, want 2: %+v", len(w.packets), w.packets)
	}
}

// TestPorts: other ports are watched if the configuration says so.
func TestPorts(t *testing.T) {
	sensortest.OwnNetwork(t)
	w := startWith(t, "", kern.Options{Constants: map[string]any{PortsConstant: Ports([]int{5300, 5301})}})
	for _, port := range []string{"5301", "5300", "53"} {
		serve(t, "udp4", "127.0.0.1:"+port)
		client(t, nil, "ask", "udp4", "127.0.0.1:"+port)
	}
	w.until(t, "two dialogues", func(p []packet) bool { return len(p) >= 4 })
	for i, p := range w.packets {
		if len(w.packets) != 4 || p.RemotePort != []uint16{5301, 5300}[i/2] {
			t.Errorf("packet %d of %d: port %d", i, len(w.packets), p.RemotePort)
		}
	}
}

// TestFullRing: received and lost together are what was sent.
func TestFullRing(t *testing.T) {
	sensortest.OwnNetwork(t)
	w := startWith(t, "", kern.Options{MapEntries: map[string]uint32{"telemetry": 64 << 10}})
	serve(t, "udp4", "127.0.0.1:53")
	c, err := net.Dial("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 1000
	answer := make([]byte, 100)
	for range n {
		if _, err := c.Write([]byte(question)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	w.reader.Pass(w)
	var losses kern.Losses
	if err := w.kernel.ReadLosses(&losses); err != nil {
		t.Fatal(err)
	}
	lost := losses[abi.LossRingFull][abi.EventDNS]
	if lost == 0 || len(w.packets) == 0 || uint64(len(w.packets))+lost != 2*n {
		t.Errorf("%d received and %d lost of %d", len(w.packets), lost, 2*n)
	}
}
