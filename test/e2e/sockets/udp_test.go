// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
	"github.com/skep-io/skep/test/sensortest"
)

// server echoes half of what it gets. At the end it says what each peer has sent and got.
const server = `
import json, select, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", 0))
print(json.dumps(s.getsockname()[1]), flush=True)
seen = {}
while s in (ready := select.select([s, sys.stdin], [], [])[0]) or not ready:
    data, peer = s.recvfrom(65536)
    c = seen.setdefault("%s %d" % (peer[0].removeprefix("::ffff:"), peer[1]), [0, 0, 0, 0])
    c[0] += len(data); c[1] += 1
    if len(data) % 2:
        c[2] += s.sendto(data[:len(data)//2], peer); c[3] += 1
print(json.dumps(seen), flush=True)
sys.stdin.read()
`

// client talks on sockets of all kinds to the server's port, and says what each of them has
// sent to whom, and got: [local port, peer, bytes sent, datagrams, bytes got, datagrams].
const client = `
import json, random, socket, sys
random.seed(3)
port, flows = int(sys.argv[1]), []
def talk(s, connected, peers):
    s.settimeout(30)
    counts = {p: [0, 0, 0, 0] for p in peers}
    if connected:
        s.connect((peers[0], port))
    for i in range(60):
        p = random.choice(peers)
        data = bytes(random.choice([0, 1, 33, 500, 1400, 7001]))
        c = counts[p]
        c[0] += s.send(data) if connected else s.sendto(data, (p, port)); c[1] += 1
        if len(data) % 2:
            data, source = s.recvfrom(65536) # a server of all addresses may answer from another one
            c = counts.setdefault(source[0], [0, 0, 0, 0])
            c[2] += len(data); c[3] += 1
    for p, c in counts.items():
        flows.append([s.getsockname()[1], p.removeprefix("::ffff:")] + c)
udp = lambda family: socket.socket(family, socket.SOCK_DGRAM)
sockets = [udp(f) for f in (socket.AF_INET, socket.AF_INET6, socket.AF_INET, socket.AF_INET6, socket.AF_INET6)]
talk(sockets[0], True, ["127.0.0.1"])
talk(sockets[1], True, ["::1"])
talk(sockets[2], False, ["127.0.0.1", "127.0.0.2", "127.1.2.3"])
talk(sockets[3], False, ["::1"])
talk(sockets[4], False, ["::ffff:127.0.0.5", "::ffff:127.0.0.6"])
print(json.dumps(flows), flush=True)
sys.stdin.read()
`

// counts are bytes and datagrams, sent and received.
type counts [4]uint64

func countsOf(c *skepv1.Connection) counts {
	return counts{c.BytesSent, c.PacketsSent, c.BytesReceived, c.PacketsReceived}
}

// TestUDPPrograms: the records of two programs have the counts that the programs have, and
// together those of the kernel's own statistics.
func TestUDPPrograms(t *testing.T) {
	needPython(t)
	sensortest.OwnNetwork(t)
	a := skepdtest.Start(t)
	s := a.Observe(t, &skepv1.Filter{Kinds: []string{"udp", "loss"}})
	sv := python(t, server)
	var port int
	sv.said(&port)
	cl := python(t, client, strconv.Itoa(port))
	var flows [][6]any
	cl.said(&flows)
	want := map[string]counts{}
	for _, f := range flows {
		n := func(i int) uint64 { return uint64(f[i].(float64)) }
		want[fmt.Sprintf("%d %s", n(0), f[1])] = counts{n(2), n(3), n(4), n(5)}
	}
	checkTable(t, a, cl.pid(), want)
	truth := snmp(t)
	cl.end()
	sv.input.Close()
	var seen map[string]counts
	sv.said(&seen)
	must(t, sv.cmd.Wait())

	of := func(pid uint32, key func(*skepv1.Connection) string) map[string]counts {
		got := map[string]counts{}
		for _, r := range s.All(func(r *skepv1.Record) bool { return r.Process.GetPid() == pid && r.Kind == "udp" }) {
			c := r.GetConnection()
			if c.CloseReason != "closed" || c.Protocol != "udp" || c.OwnerSource != "send" && c.PacketsSent > 0 || r.Process.Comm != "python3" {
				t.Errorf("record %v", r)
			}
			got[key(c)] = countsOf(c)
		}
		return got
	}
	out := func(c *skepv1.Connection) string { return fmt.Sprintf("%d %s", c.Local.Port, c.Remote.Address) }
	in := func(c *skepv1.Connection) string { return fmt.Sprintf("%s %d", c.Remote.Address, c.Remote.Port) }
	waitFor(t, "the flows of both", func() bool { return len(of(cl.pid(), out)) >= len(want) && len(of(sv.pid(), in)) >= len(seen) })
	if got := of(cl.pid(), out); !maps.Equal(got, want) {
		t.Errorf("the client's flows are %v,\nit has counted %v", got, want)
	}
	wantIn := map[string]counts{}
	for peer, c := range seen {
		wantIn[peer] = counts{c[2], c[3], c[0], c[1]}
	}
	if got := of(sv.pid(), in); !maps.Equal(got, wantIn) {
		t.Errorf("the server's flows are %v,\nit has counted %v", got, wantIn)
	}
	checkEnds(t, s.All(func(r *skepv1.Record) bool { return r.Process.GetPid() == cl.pid() }), sv.pid())
	var sent, received uint64
	for _, r := range s.All(func(r *skepv1.Record) bool { return r.Process.GetPid() == cl.pid() || r.Process.GetPid() == sv.pid() }) {
		sent += r.GetConnection().PacketsSent
		received += r.GetConnection().PacketsReceived
	}
	if sent != truth["OutDatagrams"] || received != truth["InDatagrams"] {
		t.Errorf("%d datagrams sent and %d received, the kernel has counted %v", sent, received, truth)
	}
	if lost := s.All(func(r *skepv1.Record) bool { return r.GetLoss().GetLostKind() == "udp" }); len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(skepdtest.Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, skepdtest.Patience)
		}
	}
}

// checkTable: the command line shows the flows that are open.
func checkTable(t *testing.T, a *skepdtest.Agent, pid uint32, want map[string]counts) {
	t.Helper()
	var got map[string]counts
	defer func() {
		if t.Failed() {
			t.Logf("the table has %v, the program has counted %v", got, want)
		}
	}()
	waitFor(t, "table of connections", func() bool {
		got = map[string]counts{}
		for line := range strings.Lines(a.Skep(t, "connections", "--pid", strconv.Itoa(int(pid)), "-o", "json")) {
			var i struct {
				State      string
				Connection struct {
					Local  struct{ Port int }
					Remote struct{ Address string }
					BS     uint64 `json:"bytes_sent"`
					BR     uint64 `json:"bytes_received"`
					PS     uint64 `json:"packets_sent"`
					PR     uint64 `json:"packets_received"`
				}
			}
			must(t, json.Unmarshal([]byte(line), &i))
			c := i.Connection
			got[fmt.Sprintf("%d %s", c.Local.Port, c.Remote.Address)] = counts{c.BS, c.PS, c.BR, c.PR}
			if i.State != "UDP" {
				t.Errorf("line %s", line)
			}
		}
		return maps.Equal(got, want)
	})
}

// checkEnds looks at what the client's records say beside the counts. A flow of a server of
// all addresses has the first one that its peer has used, and links to that peer's flow there.
func checkEnds(t *testing.T, records []*skepv1.Record, server uint32) {
	t.Helper()
	var families []string
	linked := map[uint32]int{}
	for _, r := range records {
		c := r.GetConnection()
		families = append(families, fmt.Sprintf("%s %t", c.Family, c.V4Mapped))
		switch pid := c.Peer.GetPid(); pid {
		case 0:
			linked[c.Local.Port] += 0
		case server:
			linked[c.Local.Port]++
		default:
			t.Errorf("peer %d, want %d: %v", pid, server, r)
		}
		if !strings.HasPrefix(c.CommunityId, "1:") || (c.PacketsSent > 0) != (c.Direction == "outbound") {
			t.Errorf("record %v", r)
		}
	}
	for port, n := range linked {
		if n != 1 {
			t.Errorf("%d flows of port %d are linked to the server, want 1", n, port)
		}
	}
	slices.Sort(families)
	if got := slices.Compact(families); !slices.Equal(got, []string{"ipv4 false", "ipv4 true", "ipv6 false"}) || len(linked) != 5 {
		t.Errorf("families %v, %d ports", got, len(linked))
	}
}

// snmp is what the kernel has counted in this thread's network namespace, of both families.
func snmp(t *testing.T) map[string]uint64 {
	t.Helper()
	sums := map[string]uint64{}
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	must(t, err)
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names[1:] {
			n, err := strconv.ParseUint(fields[i+1], 10, 64)
			must(t, err)
			sums[name] += n
		}
	}
	text, err = os.ReadFile("/proc/thread-self/net/snmp6")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if name, ok := strings.CutPrefix(fields[0], "Udp6"); ok {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			must(t, err)
			sums[name] += n
		}
	}
	return sums
}

// lonely sends to a port at which nobody listens, and keeps its socket open.
const lonely = `
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3):
    s.sendto(b"12345", ("127.0.0.1", 9))
print(json.dumps(s.getsockname()[1]), flush=True)
sys.stdin.read()
`

// TestUDPIdle: a flow that has nothing more to say has ended after half a minute.
func TestUDPIdle(t *testing.T) {
	needPython(t)
	sensortest.OwnNetwork(t)
	a := skepdtest.Start(t)
	s := a.Observe(t, &skepv1.Filter{Kinds: []string{"udp"}})
	p := python(t, lonely)
	var port uint32
	p.said(&port)
	r := s.Wait(t, "udp", p.cmd.Process.Pid)
	c := r.GetConnection()
	if c.CloseReason != "idle" || c.Local.Port != port || countsOf(c) != (counts{15, 3, 0, 0}) || c.IdleNs < uint64(30*time.Second) {
		t.Errorf("record %v", r)
	}
	p.end()
	if line := a.Skep(t, "observe", "--kind", "udp", "--port", "9", "--last", "5"); !strings.Contains(line, "127.0.0.1:9") || !strings.Contains(line, "idle") {
		t.Errorf("observe says %q", line)
	}
	if got := len(s.Of("udp", p.cmd.Process.Pid)); got != 1 {
		t.Errorf("%d records, want 1", got)
	}
}

// many sends a datagram to each of so many peers, and keeps its socket open.
const many = `
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[1])):
    s.sendto(b"x", ("127.7.%d.%d" % (i // 250, i % 250 + 1), 9))
print(json.dumps("sent"), flush=True)
sys.stdin.read()
`

// TestUDPFull: flows that do not fit are counted as lost, in the stream too, and those that
// do are told.
func TestUDPFull(t *testing.T) {
	needPython(t)
	sensortest.OwnNetwork(t)
	a := skepdtest.Start(t, "--config", skepdtest.WriteConfig(t, "tables: {connections: 1024}\n"))
	s := a.Observe(t, &skepv1.Filter{Kinds: []string{"udp", "loss"}})
	const n, room = 400, 1024 / 4
	p := python(t, many, strconv.Itoa(n))
	var sent string
	p.said(&sent)
	p.end()
	lost := func() (count int) {
		for _, r := range s.All(func(r *skepv1.Record) bool {
			return r.GetLoss().GetLostKind() == "udp" && r.GetLoss().Place == "untracked"
		}) {
			count += int(r.GetLoss().Count)
		}
		return count
	}
	told := func() int { return len(s.Of("udp", p.cmd.Process.Pid)) }
	waitFor(t, "records and losses", func() bool { return told()+lost() >= n })
	if told() > room || told() < room/2 || lost() < n-room {
		t.Errorf("%d told and %d lost of %d, with room for %d", told(), lost(), n, room)
	}
}
