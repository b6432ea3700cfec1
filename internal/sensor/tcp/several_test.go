// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Closing one of several listeners on a port does not hide who has the others.
func TestSeveralListeners(t *testing.T) {
	for _, rung := range Sensor().Ladders[0].Rungs {
		t.Run(rung.Name, func(t *testing.T) {
			needRung(t, rung.Name)
			w := start(t, rung.Name)
			said := play(t, "several")
			tr := w.until(t, said.port(t, "port"), "both closes", closed(1))
			w.wantOwner(t, "established", tr.established[0], said.pid(t, "pid"))
		})
	}
}

func several([]string) {
	say("pid", os.Getpid())
	_, to := address("ipv4", 0)
	var listeners [2]int
	for i := range listeners {
		listeners[i] = socket(unix.AF_INET, 0)
		check1(unix.SetsockoptInt(listeners[i], unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		check1(unix.Bind(listeners[i], to))
		check1(unix.Listen(listeners[i], 5))
		to = must(unix.Getsockname(listeners[i]))
	}
	port := localPort(listeners[0])
	say("port", port)
	unix.Close(listeners[0])
	c := connect("ipv4", port)
	s := accept(listeners[1], true)
	unix.Close(c)
	read(s, -1)
	unix.Close(s)
	unix.Close(listeners[1])
}
