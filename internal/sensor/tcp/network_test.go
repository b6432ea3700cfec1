// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
)

// The namespaces of this process, beside those of another that runs the same tests.
var spaceA, spaceB = fmt.Sprint("skeptcp-a-", os.Getpid()), fmt.Sprint("skeptcp-b-", os.Getpid())

// network makes two namespaces that a veth pair joins.
func network(t *testing.T) {
	t.Helper()
	needPrograms(t, "ip")
	undo := func() {
		exec.Command("ip", "netns", "del", spaceA).Run()
		exec.Command("ip", "netns", "del", spaceB).Run()
	}
	undo()
	t.Cleanup(undo)
	ip(t, "netns add", spaceA)
	ip(t, "netns add", spaceB)
	ip(t, "-n", spaceA, "link add veth0 type veth peer name veth0 netns", spaceB)
	for i, space := range []string{spaceA, spaceB} {
		ip(t, "-n", space, "link set lo up")
		ip(t, "-n", space, fmt.Sprintf("addr add 10.77.0.%d/24 dev veth0", i+1))
		ip(t, "-n", space, fmt.Sprintf("addr add fd77::%d/64 dev veth0 nodad", i+1))
		ip(t, "-n", space, "link set veth0 up")
	}
}

func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}

func ip(t *testing.T, words ...string) { run(t, "ip "+strings.Join(words, " ")) }

func run(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// curl in one namespace fetches from Python's server in another: what curl says of
// its bytes and port is what the records of both ends say, and they are linked.
func TestRealProgramsAcrossNamespaces(t *testing.T) {
	needPrograms(t, "curl", "python3")
	network(t)
	w := start(t, "")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", make([]byte, 1_234_567), 0o644); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("ip", "netns", "exec", spaceB, "python3", "-m", "http.server", "8080", "--bind", "::", "--directory", dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	w.until(t, 8080, "the server's listen", func(tr *trace) bool { return len(tr.listen) > 0 })
	for i, url := range []string{"http://10.77.0.2:8080/file", "http://[fd77::2]:8080/file"} {
		curl := exec.Command("ip", "netns", "exec", spaceA, "curl", "-sS", "-o", "/dev/null",
			"-w", "%{local_port} %{size_request} %{size_header} %{size_download} %{local_ip} %{remote_ip}", url)
		out, err := curl.Output()
		if err != nil {
			t.Fatalf("curl %s: %v", url, err)
		}
		var port uint16
		var request, header, body uint64
		var local, remote string
		if _, err := fmt.Sscan(string(out), &port, &request, &header, &body, &local, &remote); err != nil {
			t.Fatalf("curl said %q: %v", out, err)
		}
		tr := w.until(t, 8080, "both closes", closed(i+1))
		tr.wantCounts(t, 1, i+1, i+1, i+1)
		w.wantOwner(t, "connect", tr.connect[i], uint32(curl.Process.Pid))
		w.wantOwner(t, "accept", tr.accept[i], uint32(server.Process.Pid))
		wantBytes(t, "curl", tr.active[i], request, header+body)
		wantBytes(t, "server", tr.passive[i], header+body, request)
		if got := tr.connect[i].Socket.Ends.LocalPort; got != port {
			t.Errorf("curl's port %d, want %d", got, port)
		}
		wantLinked(t, w.events, local, remote, uint32(curl.Process.Pid), uint32(server.Process.Pid))
	}
}

// wantLinked runs the events through the connection table.
func wantLinked(t *testing.T, events []Event, local, remote string, client, server uint32) {
	t.Helper()
	table := flow.New(flow.Options{MaxOpen: 1000, MaxClosed: 1000, ClosedFor: time.Hour})
	resolve := func(id abi.ExecID) *skepv1.Process { return &skepv1.Process{ProcessId: fmt.Sprint(id), Pid: id.Tgid} }
	found := map[string]int{}
	for i := range events {
		r := table.Apply(&events[i], resolve)
		c := r.GetConnection()
		if c == nil || r.Kind == "listen" || r.Kind == "connect" {
			continue
		}
		mine := c.Local.Address + " " + c.Remote.Address
		if mine == local+" "+remote && r.Process.Pid == client && c.Peer.GetPid() == server && c.Direction == "outbound" {
			found[r.Kind+" of client"]++
		}
		if mine == remote+" "+local && r.Process.Pid == server && c.Peer.GetPid() == client && c.Direction == "inbound" {
			found[r.Kind+" of server"]++
		}
		if netip.MustParseAddr(local).Is4() && strings.HasPrefix(mine, remote) && !c.V4Mapped {
			t.Errorf("server on :: does not say v4_mapped: %v", c)
		}
	}
	for _, want := range []string{"accept of server", "close of server", "close of client"} {
		if found[want] != 1 {
			t.Errorf("%d linked %s between %s and %s, want 1", found[want], want, local, remote)
		}
	}
}

// On a bad line bytes are counted once, and the record agrees with ss.
func TestBadLine(t *testing.T) {
	needPrograms(t, "ip", "ss", "iptables", "tc")
	network(t)
	run(t, "ip netns exec "+spaceA+" iptables -A INPUT -p tcp -m statistic --mode random --probability 0.02 -j DROP")
	run(t, "ip netns exec "+spaceA+" tc qdisc add dev lo root tbf rate 200mbit burst 70kb limit 80kb")
	w := start(t, "")
	c := exec.Command("ip", "netns", "exec", spaceA, "/proc/self/exe")
	c.Args[4] = must(os.Executable())
	c.Env = append(os.Environ(), roleVariable+"=transfer")
	said, goOn := hold(t, c)
	port := said.port(t, "port")
	info := run(t, fmt.Sprintf("ip netns exec %s ss -tinHO state established sport = :%d", spaceA, port))
	goOn()
	tr := w.until(t, port, "both closes", closed(1))
	tr.wantCounts(t, 1, 1, 1, 1)
	e := tr.passive[0]
	wantBytes(t, "server", e, transferBytes, 0)
	wantBytes(t, "client", tr.active[0], 0, transferBytes)
	t.Logf("%d retransmits, rtt %d+-%d us; ss: %s", e.Traffic.Retransmits, e.Traffic.RTTUs, e.Traffic.RTTVarUs, info)
	if e.Traffic.Retransmits == 0 {
		t.Error("no retransmits: the line was not bad")
	}
	if n := ssField(t, info, "bytes_acked"); n != transferBytes {
		t.Errorf("ss had %d bytes acknowledged before the close", n)
	}
	// Only the FIN came after ss had looked.
	if n := ssField(t, info, "segs_out"); uint64(e.Traffic.SegmentsSent) < n || uint64(e.Traffic.SegmentsSent) > n+5 {
		t.Errorf("%d segments sent, ss had %d before the close", e.Traffic.SegmentsSent, n)
	}
}

func ssField(t *testing.T, info, name string) uint64 {
	t.Helper()
	m := regexp.MustCompile(`\b` + name + `:(\d+)`).FindStringSubmatch(info)
	if m == nil {
		t.Fatalf("ss does not say %s: %s", name, info)
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
