// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// sender answers one request and leaves the connection open.
const sender = `
import socket, sys, time
l = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print(l.getsockname()[1], flush=True)
s, _ = l.accept()
s.recv(65536)
s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 300000)
time.sleep(3600)
`

// TestOpenConnections: what skep says of open connections is what ss says, at both ends.
func TestOpenConnections(t *testing.T) {
	for _, name := range []string{"python3", "curl", "ss"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
	h := newPrivateHouse(t)
	a := h.start()
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			server := exec.Command("python3", "-c", sender, address)
			port := strings.TrimSpace(firstLine(t, server))
			started := time.Now()
			client := exec.Command("curl", "-sN", "http://"+net.JoinHostPort(address, port))
			received, err := client.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			start(t, client)
			if _, err := io.CopyN(io.Discard, received, 300_000); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1500 * time.Millisecond) // for the last acknowledgement, and for an answer that is younger than it
			text := h.skep("connections", "--port", port, "-o", "json", "--where", `connection.direction != "listen"`)
			elapsed := time.Since(started)
			conns := parseConnections(t, text)
			if len(conns) != 2 {
				t.Fatalf("%d connections, want both ends: %s", len(conns), text)
			}
			for _, info := range conns {
				wantAsSS(t, info, port)
				if d := time.Duration(info.Connection.DurationNs); d < 1500*time.Millisecond || d > elapsed {
					t.Errorf("it is open for %v; it was begun %v ago, and 1.5 s were waited since", d, elapsed)
				}
			}
			wantInProcess(t, a, uint32(client.Process.Pid), conns)
		})
	}
}

func start(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
}

func firstLine(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, c)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func parseConnections(t *testing.T, text string) (all []*skepv1.ConnectionInfo) {
	t.Helper()
	for line := range strings.Lines(text) {
		info := &skepv1.ConnectionInfo{}
		if err := protojson.Unmarshal([]byte(line), info); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, info)
	}
	return all
}

// wantAsSS compares one end with what ss says of it.
func wantAsSS(t *testing.T, info *skepv1.ConnectionInfo, port string) {
	t.Helper()
	c := info.Connection
	line, err := exec.Command("ss", "-tinHO", "state", "established",
		fmt.Sprintf("sport = :%d and dport = :%d", c.Local.Port, c.Remote.Port)).Output()
	if err != nil {
		t.Fatal(err)
	}
	ss := string(line)
	acked := ssNumber(t, ss, `bytes_acked:(\d+)`)
	if strconv.Itoa(int(c.Local.Port)) != port {
		acked-- // the SYN
	}
	got := map[string]uint64{
		"sent": c.BytesSent, "received": c.BytesReceived, "segments sent": uint64(c.SegmentsSent),
		"segments received": uint64(c.SegmentsReceived), "rtt": uint64(c.RttUs), "rtt variation": uint64(c.RttVarUs), "retransmits": uint64(c.Retransmits),
	}
	want := map[string]uint64{
		"sent": acked, "received": ssNumber(t, ss, `bytes_received:(\d+)`), "segments sent": ssNumber(t, ss, `segs_out:(\d+)`),
		"segments received": ssNumber(t, ss, `segs_in:(\d+)`), "rtt": ssMicroseconds(t, ss, `\brtt:([\d.]+)/`),
		"rtt variation": ssMicroseconds(t, ss, `\brtt:[\d.]+/([\d.]+)`), "retransmits": ssNumber(t, ss, `retrans:\d+/(\d+)`),
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s %s: %d, ss says %d: %s", c.Direction, name, got[name], want[name], ss)
		}
	}
	if c.BytesSent+c.BytesReceived < 300_000 || c.RttUs == 0 {
		t.Errorf("too little to compare: %v", c)
	}
}

// ssNumber is a field that ss leaves out where it is 0.
func ssNumber(t *testing.T, line, pattern string) uint64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(line)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ssMicroseconds(t *testing.T, line, pattern string) uint64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(line)
	if m == nil {
		return 0
	}
	ms, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(ms*1000 + 0.5)
}

// wantInProcess: the process's own page says the same.
func wantInProcess(t *testing.T, a *agent, pid uint32, conns []*skepv1.ConnectionInfo) {
	t.Helper()
	r, err := a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: pid})
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range conns {
		if info.Process.Pid != pid {
			continue
		}
		if len(r.Connections) != 1 || r.Connections[0].Counted == nil || r.Connections[0].Connection.BytesReceived != info.Connection.BytesReceived {
			t.Errorf("process %d has %v, want %v", pid, r.Connections, info)
		}
		return
	}
	t.Errorf("process %d has no connection", pid)
}

// TestConnectionsHeal: after closes were lost, the connection table has what is open and
// nothing else, within five seconds, on a kernel with socket storage and on one without.
func TestConnectionsHeal(t *testing.T) {
	for _, rung := range []string{"", "tcp=cgroup_hash"} {
		t.Run("rung "+rung, func(t *testing.T) {
			h := newHouse(t, tinyRings)
			args := []string{"--ephemeral"}
			if rung != "" {
				args = append(args, "--force-rung", rung)
			}
			a := h.start(args...)
			s := a.observe("loss")
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := uint32(l.Addr().(*net.TCPAddr).Port)
			gone, left := pairs(t, l, 20), pairs(t, l, 5)
			within(t, skepdtest.Patience, "all are in the table", func() error { return wantTable(a, port, 51) })
			if err := a.command.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			h.generator().run(60, 0) // the telemetry ring is full: nothing of what follows is seen
			for _, c := range gone {
				c.Close()
			}
			l.Close()
			if err := a.command.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"close", "unlisten"} {
				s.find("loss of a "+kind, func(r *skepv1.Record) bool { return r.GetLoss().GetLostKind() == kind })
			}
			within(t, healing(5*time.Second), "the table heals", func() error { return wantTable(a, port, len(left)) })
			a.stop()
		})
	}
}

// pairs are both ends of n connections.
func pairs(t *testing.T, l net.Listener, n int) (all []net.Conn) {
	t.Helper()
	for range n {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close(); server.Close() })
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		all = append(all, client, server)
	}
	return all
}

// wantTable counts the sockets of a server's port; each but the listener has its peer.
func wantTable(a *agent, port uint32, want int) error {
	r, err := a.ListConnections(a.house.t.Context(), &skepv1.ListConnectionsRequest{Filter: &skepv1.Filter{Ports: []uint32{port}}})
	if err != nil {
		return err
	}
	if len(r.Connections) != want {
		return fmt.Errorf("%d sockets are in the table, want %d", len(r.Connections), want)
	}
	for _, info := range r.Connections {
		if info.State != "LISTEN" && (info.Connection.Peer == nil || info.Counted == nil) {
			text, _ := json.Marshal(info)
			return fmt.Errorf("without its peer, or not counted: %s", text)
		}
	}
	return nil
}
