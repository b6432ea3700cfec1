// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// prelude is what the clients in Python share: a query made by hand.
const prelude = `
import os, random, socket, struct, subprocess, sys, threading
def query(id, name, typ):
    q = struct.pack(">HHHHHH", id, 0x100, 1, 0, 0, 0)
    for label in name.split("."):
        q += bytes([len(label)]) + label.encode()
    return q + b"\0" + struct.pack(">HH", typ, 1)
def receive(s, n):
    b = b""
    while len(b) < n:
        b += s.recv(n - len(b)) or sys.exit("the server hung up")
    return b
def udp(family=socket.AF_INET, connect=True):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(10)
    if connect:
        s.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 53))
    return s
`

// many asks sys.argv[1] questions: each tenth gets no answer, each tenth does not exist.
// Sockets are of both families, connected and not, and a part is TCP with several
// questions at once.
const many = prelude + `
random.seed(7)
kinds = [("x%d.a.test", 1), ("x%d.a.test", 28), ("alias.test", 1), ("host.test", 28), ("mail.test", 15), ("text.test", 16),
         ("_sip._udp.srv.test", 33), ("3.2.1.10.in-addr.arpa", 12), ("caa.test", 257)]
ids, sockets, batch = random.sample(range(65536), int(sys.argv[1])), [], []
def over_tcp(batch):
    s = socket.create_connection(("127.0.0.1", 53) if len(batch) % 2 else ("::1", 53))
    s.sendall(b"".join(struct.pack(">H", len(q)) + q for q in batch))
    for q in batch:
        receive(s, struct.unpack(">H", receive(s, 2))[0])
    s.close()
for i, id in enumerate(ids):
    name, typ = kinds[i % len(kinds)]
    if i % 10 == 0:
        name, typ = "d%d.deaf.test", 1
    elif i % 10 == 1:
        name, typ = "n%d.nx.test", 28
    q = query(id, name % i if "%" in name else name, typ)
    if i % 10 > 7:
        batch.append(q)
        if len(batch) == 5 or i == len(ids) - 1:
            over_tcp(batch)
            batch = []
        continue
    if i % 50 == 0:
        sockets = [udp(f, c) for f in (socket.AF_INET, socket.AF_INET6) for c in (True, False)] + sockets
    at = i % 4
    s = sockets[at]
    if at % 2 == 0:
        s.send(q)
    else:
        s.sendto(q, ("127.0.0.1" if at < 2 else "::1", 53))
    if i % 10 != 0:
        s.recv(4096)
if batch:
    over_tcp(batch)
`

// start makes the network and an agent, and collects its DNS records.
func start(t *testing.T, kinds ...string) (*skepdtest.Agent, *skepdtest.Stream) {
	t.Helper()
	newNetwork(t)
	a := skepdtest.Start(t)
	return a, a.Observe(t, &skepv1.Filter{Kinds: append(kinds, "dns")})
}

// of returns the DNS records of a process, once there are so many.
func of(t *testing.T, s *skepdtest.Stream, pid uint32, n int) []*skepv1.Record {
	t.Helper()
	mine := func(r *skepv1.Record) bool { return r.GetDns() != nil && r.Process.GetPid() == pid }
	waitFor(t, fmt.Sprint(n, " DNS records of process ", pid), func() bool { return len(s.All(mine)) >= n })
	return s.All(mine)
}

// TestAgainstCapture: every field of 2,000 records is what tshark reads in tcpdump's capture.
func TestAgainstCapture(t *testing.T) {
	const n = 2000
	a, s := start(t)
	stop := capture(t)
	pid, _ := ask(t, "python3", "-c", many, strconv.Itoa(n))
	records := of(t, s, pid, n)
	file := stop()
	time.Sleep(time.Second) // for what should not come
	if records = of(t, s, pid, n); len(records) != n {
		t.Errorf("%d records, want %d", len(records), n)
	}
	compare(t, records, decode(t, file))
	for _, l := range a.Status(t).Losses {
		// Runs that the kernel left out, of which skep cannot know whether there was anything to
		// see. That no record is missing is what compare shows.
		if l.Place == "program_missed" {
			t.Logf("not run: %v", l)
		} else if l.Count != 0 {
			t.Errorf("lost: %v", l)
		}
	}
}

// TestClients: programs that people use, and who they say they are.
func TestClients(t *testing.T) {
	need(t, "dig", "getent")
	_, s := start(t)
	for _, tt := range []struct {
		name   string
		client []string
		want   []string // of each record: protocol, server, type, name, rcode
	}{
		{"dig", []string{"dig", "+short", "@127.0.0.1", "alias.test"}, []string{"udp 127.0.0.1 A alias.test NOERROR"}},
		{"dig over IPv6", []string{"dig", "+short", "@::1", "host.test", "AAAA"}, []string{"udp ::1 AAAA host.test NOERROR"}},
		{"dig over TCP", []string{"dig", "+tcp", "@127.0.0.1", "mail.test", "MX"}, []string{"tcp 127.0.0.1 MX mail.test NOERROR"}},
		{"getaddrinfo", []string{"getent", "ahosts", "host.test"}, []string{"udp 127.0.0.1 A host.test NOERROR", "udp 127.0.0.1 AAAA host.test NOERROR"}},
		{"a thread", []string{"python3", "-c", prelude + `
def ask():
    s = udp(); s.send(query(1, "nope.nx.test", 1)); s.recv(999)
t = threading.Thread(target=ask); t.start(); t.join()`}, []string{"udp 127.0.0.1 A nope.nx.test NXDOMAIN"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pid, out := ask(t, tt.client[0], tt.client[1:]...)
			var got []string
			for _, r := range of(t, s, pid, len(tt.want)) {
				d := r.GetDns()
				got = append(got, fmt.Sprintf("%s %s %s %s %s", d.Protocol, d.Server.Address, d.Type, d.Name, d.Rcode))
				if d.Outcome != "answered" || d.LatencyNs == 0 || d.Netns != netnsInode(t) {
					t.Errorf("record %v", d)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("records %q, want %q; the client said %s", got, tt.want, out)
			}
		})
	}
}

// TestOwners: the process that asks is named, not the one that opened the socket.
func TestOwners(t *testing.T) {
	_, s := start(t)
	for _, how := range []string{"udp()", `socket.create_connection(("127.0.0.1", 53))`} {
		// The child inherits the socket, asks and answers with its process id.
		_, out := ask(t, "python3", "-c", prelude+`
s = `+how+`
def frame(q): return q if s.type == socket.SOCK_DGRAM else struct.pack(">H", len(q)) + q
child = os.fork()
if child == 0:
    s.send(frame(query(2, "child.a.test", 1))); s.recv(999); os._exit(0)
os.waitpid(child, 0)
s.send(frame(query(3, "parent.a.test", 1))); s.recv(999)
print(child, os.getpid())`)
		var child, parent uint32
		if _, err := fmt.Sscan(out, &child, &parent); err != nil {
			t.Fatalf("the client said %q: %v", out, err)
		}
		for pid, name := range map[uint32]string{child: "child.a.test", parent: "parent.a.test"} {
			for _, r := range of(t, s, pid, 1) {
				if r.GetDns().Name != name {
					t.Errorf("%s: process %d asked for %s, want %s", how, pid, r.GetDns().Name, name)
				}
			}
		}
	}
}

// TestConnectionsHaveNames: a connection to an address that was looked up shows the name.
func TestConnectionsHaveNames(t *testing.T) {
	a, s := start(t, "connect", "close")
	pid, out := ask(t, "python3", "-c", `
import socket
l = socket.create_server(("127.0.0.1", 0))
for name in "web.test", "127.0.0.1":
    c = socket.create_connection((name, l.getsockname()[1])); d, _ = l.accept(); c.close(); d.close()
print(l.getsockname()[1])`)
	port, err := strconv.Atoi(out[:len(out)-1])
	if err != nil {
		t.Fatal(err)
	}
	r := s.WaitFor(t, "close of the client", func(r *skepv1.Record) bool {
		c := r.GetConnection()
		return r.Kind == "close" && r.Process.GetPid() == pid && c.Direction == "outbound" && c.Remote.GetPort() == uint32(port)
	})
	if r.GetConnection().RemoteName != "web.test" {
		t.Errorf("the record's name is %q", r.GetConnection().RemoteName)
	}
	closed, err := a.ListConnections(t.Context(), &skepv1.ListConnectionsRequest{Closed: true, Filter: &skepv1.Filter{Where: `connection.remote_name == "web.test"`}})
	if err != nil || len(closed.Connections) == 0 {
		t.Errorf("the table has %v of that name (%v)", closed, err)
	}
	// An accepted connection is not named: nobody looked its other end up.
	for _, r := range s.All(func(r *skepv1.Record) bool {
		return r.GetConnection().GetDirection() == "inbound" && r.GetConnection().RemoteName != ""
	}) {
		t.Errorf("an accepted connection is named: %v", r)
	}
}

// TestHostile: what is no DNS is counted, to the last packet, and the agent goes on.
func TestHostile(t *testing.T) {
	a, s := start(t, "loss")
	const hostile = prelude + `
q = query(9, "x.a.test", 1)
bad = [b"", b"x", q[:11], q[:20], q[:12] + b"\xc0\x0c\0\1\0\1", q[:12] + b"\xc0\x0e\xc0\x0c\0\1\0\1", q[:12] + b"\xc0\xff\0\1\0\1",
       q[:12] + (b"\x3f" + b"x" * 63) * 1000, q[:4] + b"\xff\xff" + q[6:], os.urandom(11), q[:12] + b"\x80a\0\0\1\0\1"]
s = udp(connect=False)
for b in bad * 20:
    s.sendto(b, ("127.0.0.9", 53))
t = socket.create_connection(("127.0.0.1", 53))
t.sendall(struct.pack(">H", 65535) + b"\xc0" * 65535)
t.close()
u = udp(); u.send(q); u.recv(999)`
	pid, _ := ask(t, "python3", "-c", hostile)
	if got := of(t, s, pid, 1); len(got) != 1 || got[0].GetDns().Name != "x.a.test" {
		t.Errorf("records %v, want the one that makes sense", got)
	}
	const want = 20*10 + 1 // an empty datagram is no message
	waitFor(t, "the count of what was not decoded", func() bool { return undecoded(a.Status(t)) >= want })
	if n := undecoded(a.Status(t)); n != want {
		t.Errorf("%d counted, want %d", n, want)
	}
	s.WaitFor(t, "a record of that", func(r *skepv1.Record) bool {
		return r.GetLoss().GetPlace() == "undecoded" && r.GetLoss().LostKind == "dns"
	})
}

func undecoded(s *skepv1.GetStatusResponse) (n uint64) {
	for _, l := range s.Losses {
		if l.Place == "undecoded" {
			n += l.Count
		}
	}
	return n
}
