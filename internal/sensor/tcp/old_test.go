// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bufio"
	"cmp"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// A program with a listener, a connection and one more in the listener's queue is
// there before the sensor, which finds all but the last by its scan; also where the
// listener is an MPTCP socket, as those of Go's net package are, or both ends are.
func TestSocketsOlderThanTheSensor(t *testing.T) {
	for _, families := range [][2]string{{"ipv4", "ipv4"}, {"mptcp-ipv4", "ipv4"}, {"mptcp-mapped", "ipv4"}, {"mptcp-ipv6", "mptcp-ipv6"}} {
		t.Run(families[0]+" "+families[1], func(t *testing.T) {
			if strings.HasPrefix(families[0], multipath) {
				needMPTCP(t)
				if kern.Lockdown() == "confidentiality" {
					return // nothing leads to their subflows there
				}
			}
			wantOld(t, families[0], families[1])
		})
	}
}

func wantOld(t *testing.T, family, clients string) {
	said, goOn := hold(t, command("old", family, clients))
	w := start(t, "")
	port, pid := said.port(t, "port"), said.pid(t, "pid")
	if CanScan(*w.rung) {
		w.wantScan(t, port, pid)
	}
	goOn()
	tr := w.until(t, port, "all closes", closed(3))
	if len(tr.connect) != 1 || len(tr.accept) != 1 || len(tr.active) != 3 || len(tr.passive) != 3 {
		t.Errorf("%v; want 1 connect and accept, 3 closes of each end", tr)
	}
	unowned := 0
	for _, e := range append(tr.active, tr.passive...) {
		// Nothing leads from the kernel, which closes a subflow, to whoever took it from the queue,
		// or has had it where no scan says so.
		unknown := strings.HasPrefix(clients, multipath) && has(e, abi.TcpPreexisting) && (e.Socket.Ends.LocalPort == port || !CanScan(*w.rung))
		if unknown && e.Socket.Owner.Tgid == 0 {
			unowned++
			continue
		}
		if e.Socket.Owner.Tgid != pid {
			t.Errorf("owner %d, want %d: %+v", e.Socket.Owner.Tgid, pid, e.Socket)
		}
		if has(e, abi.TcpPreexisting) {
			continue
		}
		if e.Socket.EstablishedNS == 0 {
			t.Errorf("new connection without its time: %+v", e.Socket)
		}
	}
	if unowned > 1 && CanScan(*w.rung) {
		t.Errorf("%d sockets have no owner, want that from the queue alone", unowned)
	}
	// Counts go back to before the sensor: they are the socket's own.
	wantBytes(t, "old client", mostSent(tr.active), 11, 22)
	wantBytes(t, "old server", mostSent(tr.passive), 22, 11)
}

// mostSent is the end of the one connection that carries anything: the kernel closes subflows
// in its own order.
func mostSent(closes []Event) Event {
	return slices.MaxFunc(closes, func(a, b Event) int { return cmp.Compare(a.Traffic.BytesSent, b.Traffic.BytesSent) })
}

func (w *watch) wantScan(t *testing.T, port uint16, pid uint32) {
	t.Helper()
	raw, err := w.kernel.Scan(Sensor(), ExistingProgram)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	if err := DecodeScan(raw, func(e Event) {
		s := &e.Socket
		if s.Owner.Tgid != pid {
			return
		}
		if abi.TcpSource(s.Source) != abi.TcpSourceScan || !has(e, abi.TcpPreexisting) {
			t.Errorf("scanned socket is %+v", s)
		}
		switch {
		case has(e, abi.TcpListener) && s.Ends.LocalPort == port && e.Backlog == 5:
			found["listener"]++
		case s.Ends.LocalPort == port:
			found["server"]++
		case s.Ends.RemotePort == port:
			found["client"]++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if found["listener"] != 1 || found["server"] != 1 || found["client"] != 2 {
		t.Errorf("the scan found %v, want a listener, a server and two clients", found)
	}
}

// hold starts a role that says "ready", and goes on when told to.
func hold(t testing.TB, c *exec.Cmd) (s said, goOn func()) {
	t.Helper()
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines, text := bufio.NewReader(out), ""
	for parseSaid(text)["ready"] == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("read what the role says: %v", err)
		}
		text += line
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return parseSaid(text), func() { io.WriteString(in, "\n") }
}
