// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// counts asks the kernel side what open sockets have carried, by their id.
func (w *watch) counts(t testing.TB) map[uint64]abi.TcpTraffic {
	t.Helper()
	all := map[uint64]abi.TcpTraffic{}
	for _, program := range w.traffic.Programs {
		raw, err := w.kernel.Iterate(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := DecodeCounts(raw, func(c Count) { all[c.ID] = c.Traffic }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What is counted of open connections is what getsockopt(TCP_INFO) says to the program
// that has them, on each rung, in another network namespace, at both ends.
func TestOpenConnections(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			for _, family := range []string{"ipv4", "ipv6", "mapped"} {
				t.Run(family, func(t *testing.T) { w.wantExchange(t, family) })
			}
		})
	}
}

// Each way to count gives the same, but for what its limits say.
func TestTrafficRungs(t *testing.T) {
	for _, rung := range traffic().Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			for _, program := range rung.Programs {
				needIterator(t, program)
			}
			if rung.Name == "iter_stored" {
				needRung(t, "tp_btf") // or there is nothing in that map
			}
			w := startWith(t, Sensor(), kern.Options{Force: map[string]string{TrafficSignal: rung.Name}})
			w.wantExchange(t, "ipv6")
			if rung.Name == "task_file" && kern.Lockdown() == "confidentiality" {
				return // nothing leads from a file to its subflows there
			}
			t.Run("mptcp", func(t *testing.T) {
				needMPTCP(t)
				w.wantExchange(t, multipath+"ipv4")
			})
		})
	}
}

// needIterator skips where the kernel refuses even an iterator of that kind that does nothing.
func needIterator(t *testing.T, program string) {
	t.Helper()
	if program == countHashed && kern.Lockdown() == "confidentiality" {
		t.Skip("needs bpf_probe_read_kernel, which lockdown=confidentiality forbids")
	}
	over := map[string]string{countStored: "bpf_sk_storage_map", countHashed: "bpf_map_elem", countFiles: "task_file"}[program]
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: over, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Skipf("needs iterators over %s: %v", over, err)
	}
	p.Close()
	if program == countFiles && !kernelHas(t, "bpf_sock_from_file") {
		t.Skip("needs bpf_sock_from_file (5.11)")
	}
}

func (w *watch) wantExchange(t *testing.T, family string) {
	t.Helper()
	said, goOn := hold(t, exchangeCommand(family))
	port := said.port(t, "port")
	tr := w.until(t, port, "two connections", func(tr *trace) bool { return len(tr.connect) == 2 && len(tr.established) == 2 })
	counts := w.counts(t)
	queue := w.traffic.Name != "task_file" // as the limits say
	for _, e := range tr.listen {
		if n, ok := counts[e.Socket.ID]; !ok || n != (abi.TcpTraffic{}) {
			t.Errorf("listener has %+v, is there: %v", n, ok)
		}
	}
	for _, e := range append(tr.connect, tr.established...) {
		who := roleOf(&e.Socket, port, said)
		n, ok := counts[e.Socket.ID]
		if who == "waiting" && !queue {
			continue
		}
		if !ok {
			t.Errorf("%s is not counted", who)
			continue
		}
		if n.BytesSent != said.number(t, who+"_sent") || n.BytesReceived != said.number(t, who+"_received") {
			t.Errorf("%s: %d bytes sent, %d received; want %s and %s", who, n.BytesSent, n.BytesReceived, said[who+"_sent"], said[who+"_received"])
		}
		if said[who+"_info"] == "" { // nobody can ask for the one in the queue
			continue
		}
		if got := infoText(n.SegmentsSent, n.SegmentsReceived, n.RTTUs, n.RTTVarUs, n.Retransmits); got != said[who+"_info"] {
			t.Errorf("%s: %s; TCP_INFO says %s", who, got, said[who+"_info"])
		}
	}
	goOn()
	tr = w.until(t, port, "all ends", func(tr *trace) bool { return len(tr.active) == 2 && len(tr.passive) == 2 && len(tr.stopped) == 1 })
	counts = w.counts(t)
	for _, e := range append(append(tr.active, tr.passive...), tr.stopped...) {
		if n, ok := counts[e.Socket.ID]; ok {
			t.Errorf("a closed socket is counted: %+v", n)
		}
	}
}

func exchangeCommand(family string) *exec.Cmd {
	c := command("exchange", family)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	return c
}

// roleOf names the four ends that exchange has.
func roleOf(s *abi.TcpSocket, server uint16, said said) string {
	queued := said["queued_port"]
	switch {
	case s.Ends.LocalPort == server && fmt.Sprint(s.Ends.RemotePort) == queued:
		return "waiting"
	case s.Ends.LocalPort == server:
		return "server"
	case fmt.Sprint(s.Ends.LocalPort) == queued:
		return "queued"
	}
	return "client"
}

func infoText(out, in, rtt, variation, retransmits uint32) string {
	return fmt.Sprintf("%d out, %d in, rtt %d+-%d us, %d retransmits", out, in, rtt, variation, retransmits)
}

// exchange FAMILY: a connection that carries known bytes and one that stays in the
// listener's queue, both open until a line comes.
func exchange(args []string) {
	loopbackUp()
	l, port := listen(args[0], 5)
	say("port", port)
	c := connect(args[0], port)
	s := accept(l, true)
	queued := connect(args[0], port)
	for range 20 {
		write(c, 1000)
		read(s, 1000)
		write(s, 70_001)
		read(c, 70_001)
	}
	write(queued, 5)
	unix.Nanosleep(&unix.Timespec{Nsec: 200e6}, nil) // for the last delayed acknowledgement
	for name, fd := range map[string]int{"client": c, "server": s, "queued": queued} {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil && strings.HasPrefix(args[0], multipath) {
			continue // before 5.16
		}
		check1(err)
		say(name+"_info", infoText(info.Segs_out, info.Segs_in, info.Rtt, info.Rttvar, info.Total_retrans))
	}
	for key, n := range map[string]int{
		"client_sent": 20_000, "client_received": 1_400_020, "server_sent": 1_400_020, "server_received": 20_000,
		"queued_sent": 5, "queued_received": 0, "waiting_sent": 0, "waiting_received": 5, "queued_port": localPort(queued),
	} {
		say(key, n)
	}
	say("ready", 1)
	io.ReadFull(os.Stdin, make([]byte, 1))
	unix.Close(queued)
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	unix.Close(l)
}

// What a full ring has no room for is counted as what it was: the end of a listener is
// no close. And a socket whose end was lost is not counted as open, on no rung.
func TestLostEnds(t *testing.T) {
	const connections, listeners = 200, 1000
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := startWith(t, Sensor(), kern.Options{
				Force: map[string]string{Signal: rung.Name}, MapEntries: map[string]uint32{"telemetry": 64 << 10, "critical": 16 << 20},
			})
			said, goOn := hold(t, exchangeCommand("ipv4"))
			w.until(t, said.port(t, "port"), "two connections", func(tr *trace) bool { return len(tr.connect) == 2 && len(tr.established) == 2 })
			open := w.counts(t)
			for _, args := range [][]string{{"many", strconv.Itoa(connections), "1"}, {"listeners", strconv.Itoa(listeners)}} {
				c := command(args[0], args[1:]...)
				c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
				if out, err := c.Output(); err != nil {
					t.Fatalf("role %s: %v\n%s", args[0], err, out)
				}
			}
			goOn()
			w.wantGone(t, open)
			w.reader.Pass(w)
			// Four closes and a listener are those of exchange, one listener that of many.
			w.wantAccounted(t, abi.EventClose, 2*connections+4)
			w.wantAccounted(t, abi.EventUnlisten, listeners+2)
			w.wantAccounted(t, abi.EventListen, listeners+2)
		})
	}
}

// A socket for which the table has no room is not tracked, and what it would have made is
// counted, once for each record. While others fill the table none has room, then some have.
func TestUntracked(t *testing.T) {
	const connections = 320
	for _, rung := range []string{"cgroup_hash", "tp_btf_hash"} {
		t.Run(rung, func(t *testing.T) {
			needRung(t, rung)
			w := startWith(t, Sensor(), kern.Options{
				Force:      map[string]string{Signal: rung},
				MapEntries: map[string]uint32{"tcp_sockets_hash": 3, "telemetry": 16 << 20, "critical": 16 << 20},
			})
			_, goOn := hold(t, exchangeCommand("ipv4"))
			w.playWhileReading(t, "many", strconv.Itoa(connections/2), "4")
			goOn()
			w.playWhileReading(t, "many", strconv.Itoa(connections/2), "4")
			w.wantAccounted(t, abi.EventConnect, connections)
			w.wantAccounted(t, abi.EventAccept, connections)
			w.wantAccounted(t, abi.EventClose, 2*connections)
		})
	}
}

// wantAccounted: records, losses and what the kernel kept from the programs make up what
// was produced; other programs of this host may have added a few.
func (w *watch) wantAccounted(t *testing.T, typ abi.EventType, produced uint64) {
	t.Helper()
	var losses kern.Losses
	if err := w.kernel.ReadLosses(&losses); err != nil {
		t.Fatal(err)
	}
	var got uint64
	for _, e := range w.events {
		if abi.EventType(e.Header.Type) == typ {
			got++
		}
	}
	lost := losses[abi.LossRingFull][typ] + losses[abi.LossUntracked][typ]
	missed := w.missed()
	t.Logf("type %d: %d came, %d are lost, %d events of any type missed, of %d", typ, got, lost, missed, produced)
	if lost == 0 || got+lost+missed < produced || got+lost > produced+produced/10 || missed > produced/5 {
		t.Errorf("type %d: %d came and %d are lost of %d, %d missed", typ, got, lost, produced, missed)
	}
}

// wantGone waits until none of the sockets is open any more.
func (w *watch) wantGone(t *testing.T, before map[uint64]abi.TcpTraffic) {
	t.Helper()
	var left []uint64
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = left[:0]
		for id := range w.counts(t) {
			if _, was := before[id]; was {
				left = append(left, id)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("of %d sockets %d still count as open", len(before), len(left))
}

// listeners N: opens and closes so many, one after another.
func listeners(args []string) {
	loopbackUp()
	for range number(args[0]) {
		l, _ := listen("ipv4", 5)
		unix.Close(l)
	}
}

// BenchmarkOpenConnections is one pass over all open sockets, with its decoding.
func BenchmarkOpenConnections(b *testing.B) {
	for _, rung := range []string{"best", "cgroup_hash"} {
		for _, n := range []int{0, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", rung, n), func(b *testing.B) {
				w := start(b, strings.TrimPrefix(rung, "best"))
				if n > 0 {
					c := command("crowd", strconv.Itoa(n/2))
					c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
					hold(b, c)
				}
				if got := len(w.counts(b)); got < n {
					b.Fatalf("%d sockets are counted, want %d", got, n)
				}
				for b.Loop() {
					w.counts(b)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/pass")
			})
		}
	}
}

// crowd N: so many connections, both ends of them, open until a line comes.
func crowd(args []string) {
	loopbackUp()
	l, port := listen("ipv4", 512)
	for range number(args[0]) {
		write(connect("ipv4", port), 100)
		read(accept(l, true), 100)
	}
	say("ready", 1)
	io.ReadFull(os.Stdin, make([]byte, 1))
}
