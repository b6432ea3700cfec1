// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// needMPTCP skips where the kernel has no MPTCP sockets.
func needMPTCP(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	if err != nil {
		t.Skipf("needs MPTCP: %v", err)
	}
	unix.Close(fd)
}

// A connection by way of an MPTCP socket at either end or both is told as any other: its
// acceptor is who accepted it, and nothing says that nobody did.
func TestMPTCP(t *testing.T) {
	needMPTCP(t)
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			for _, families := range [][2]string{{"mptcp-ipv6", "mptcp-ipv6"}, {"mptcp-mapped", "mptcp-mapped"}, {"mptcp-ipv4", "ipv4"}, {"ipv4", "mptcp-ipv4"}} {
				t.Run(strings.Join(families[:], " "), func(t *testing.T) { w.wantMPTCP(t, families, []string{"address", "receive"}) })
			}
			for _, how := range [][]string{{"address", "receive"}, {"address", "nothing"}, {"null", "send"}, {"null", "receive"}, {"null", "nothing"}} {
				t.Run(strings.Join(how, " "), func(t *testing.T) { w.wantMPTCP(t, [2]string{"mptcp-ipv4", "mptcp-ipv4"}, how) })
			}
		})
	}
}

func (w *watch) wantMPTCP(t *testing.T, families [2]string, how []string) {
	t.Helper()
	said := play(t, "serve", families[0], how[0], how[1], families[1])
	tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
	tr.wantCounts(t, 1, 1, 1, 1)
	acceptor := "worker"
	if strings.HasPrefix(families[0], multipath) && strings.HasPrefix(families[1], multipath) && !w.seesMPTCP(how) {
		acceptor = "master"
	}
	w.wantOwner(t, "listen", tr.listen[0], said.pid(t, "master"))
	w.wantOwner(t, "connect", tr.connect[0], said.pid(t, "client"))
	w.wantOwner(t, "close of client", tr.active[0], said.pid(t, "client"))
	w.wantOwner(t, "accept", tr.accept[0], said.pid(t, acceptor))
	w.wantOwner(t, "close of server", tr.passive[0], said.pid(t, acceptor))
	for what, e := range map[string]Event{"client": tr.active[0], "server": tr.passive[0]} {
		if reason := abi.TcpReason(e.Reason); reason != abi.TcpReasonLocal && reason != abi.TcpReasonPeer {
			t.Errorf("the %s's end closed for reason %d", what, reason)
		}
	}
	wantBytes(t, "client", tr.active[0], said.number(t, "client_sent"), said.number(t, "client_received"))
	wantBytes(t, "worker", tr.passive[0], said.number(t, "worker_sent"), said.number(t, "worker_received"))
	wantOrder(t, tr)
	if n := w.entries(t, said.port(t, "port")); n > 0 {
		t.Errorf("%d entries of closed sockets are left over", n)
	}
}

// seesMPTCP reports whether the rung sees who accepts an MPTCP socket in such a way.
func (w *watch) seesMPTCP(how []string) bool {
	switch name := w.rung.Name; {
	case strings.HasPrefix(name, "fexit"):
		return true
	case kern.Lockdown() == "confidentiality" || name == "tp_btf" || name == "tp_btf_hash":
		return false
	case how[0] == "address":
		return true
	default:
		return name == "cgroup" && how[1] != "nothing"
	}
}

// A second subflow is a connection of its own, of the same processes, and nobody's to
// accept. The kernel makes it for one of two addresses, and ip(8) tells it to.
func TestSubflows(t *testing.T) {
	needMPTCP(t)
	if err := exec.Command("ip", "mptcp", "limits", "show").Run(); err != nil {
		t.Skipf("needs ip mptcp: %v", err) // of iproute2; busybox has none
	}
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			c := command("paths")
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
			said, goOn := hold(t, c)
			port, pid := said.port(t, "port"), said.pid(t, "pid")
			w.until(t, port, "two connections", func(tr *trace) bool { return len(tr.connect) == 2 && len(tr.established) == 2 })
			goOn()
			tr := w.until(t, port, "all closes", closed(2))
			if len(tr.connect) != 2 || len(tr.established) != 2 || len(tr.accept) != 1 {
				t.Errorf("%v, want 2 connect, 2 established, 1 accept", tr)
			}
			for _, e := range slices.Concat(tr.connect, tr.accept, tr.active, tr.passive) {
				w.wantOwner(t, "event", e, pid)
				if abi.TcpReason(e.Reason) == abi.TcpReasonUnaccepted {
					t.Errorf("a subflow counts as not accepted: %+v", e.Socket)
				}
			}
		})
	}
}

// paths: in a new network namespace, an MPTCP connection that the kernel gives a second subflow.
func paths([]string) {
	loopbackUp()
	for _, args := range []string{"mptcp limits set subflows 2 add_addr_accepted 2", "mptcp endpoint add 127.0.0.2 dev lo subflow"} {
		check1(exec.Command("ip", strings.Fields(args)...).Run())
	}
	say("pid", os.Getpid())
	l, port := listen(multipath+"ipv4", 5)
	say("port", port)
	c := connect(multipath+"ipv4", port)
	s := accept(l, true)
	write(c, 1000)
	read(s, 1000)
	write(s, 1000)
	read(c, 1000)
	say("ready", 1)
	io.ReadFull(os.Stdin, make([]byte, 1))
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	unix.Close(l)
}
