// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// Connects that are under way when the sensor comes end as connects: one is given up, one
// gets through.
func TestInFlight(t *testing.T) {
	said, goOn := hold(t, command("inflight"))
	w := start(t, "")
	port, pid := said.port(t, "port"), said.pid(t, "pid")
	scanned := CanScan(*w.rung)
	if scanned {
		raw, err := w.kernel.Scan(Sensor(), ExistingProgram)
		if err != nil {
			t.Fatal(err)
		}
		inFlight := 0
		if err := DecodeScan(raw, func(e Event) {
			if e.Socket.Ends.RemotePort == port && abi.EventType(e.Header.Type) == abi.EventConnect {
				inFlight++
			}
		}); err != nil {
			t.Fatal(err)
		}
		if inFlight != 2 {
			t.Fatalf("the scan met %d connects under way, want 2", inFlight)
		}
	}
	goOn()
	given, through := said.port(t, "given"), said.port(t, "through")
	from := func(all []Event, port uint16) []Event {
		var some []Event
		for _, e := range all {
			if e.Socket.Ends.LocalPort == port {
				some = append(some, e)
			}
		}
		return some
	}
	tr := w.until(t, port, "both connects and a close", func(tr *trace) bool {
		return len(from(tr.failed, given)) > 0 && len(from(tr.connect, through)) > 0 && len(from(tr.active, through)) > 0
	})
	failed, connected := from(tr.failed, given), from(tr.connect, through)
	if len(failed) != 1 || len(connected) != 1 || len(from(tr.active, given)) != 0 {
		t.Errorf("%v", tr)
	}
	if e := failed[0]; e.Error != uint16(unix.ECANCELED) || scanned && e.Socket.Owner.Tgid != pid {
		t.Errorf("given up: %+v", e)
	}
	if e := connected[0]; e.Socket.EstablishedNS == 0 || scanned && e.Socket.Owner.Tgid != pid {
		t.Errorf("got through: %+v", e)
	}
}

// inflight: two connects wait for room in a full queue; a line on its input gives up one
// and makes room for the other.
func inflight([]string) {
	l, port := listen("ipv4", 0)
	say("pid", os.Getpid())
	say("port", port)
	domain, to := address("ipv4", port)
	queued := connect("ipv4", port) // one more than the backlog
	var waiting [2]int
	for i := range waiting {
		waiting[i] = socket(domain, unix.SOCK_NONBLOCK)
		if err := unix.Connect(waiting[i], to); err != unix.EINPROGRESS {
			check1(err)
		}
	}
	say("given", localPort(waiting[0]))
	say("through", localPort(waiting[1]))
	say("ready", 1)
	io.ReadFull(os.Stdin, make([]byte, 1))
	unix.Close(waiting[0])
	s := accept(l, true)
	must(unix.Poll([]unix.PollFd{{Fd: int32(waiting[1]), Events: unix.POLLOUT}}, 60_000))
	s2 := accept(l, true)
	for _, fd := range []int{queued, waiting[1], s, s2, l} {
		unix.Close(fd)
	}
}
