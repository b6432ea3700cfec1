// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/test/sensortest"
)

// TestFailedSend: what a datagram asks is not told of the next one, if it has not left.
func TestFailedSend(t *testing.T) {
	sensortest.OwnNetwork(t)
	w := start(t, "")
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(text, to string, port int) error {
		_, err := c.WriteTo([]byte(text), &net.UDPAddr{IP: net.ParseIP(to), Port: port})
		return err
	}
	if send("lost", "10.9.9.9", 53) == nil {
		t.Fatal("a datagram has left without a route")
	}
	if err := send("other", "127.0.0.2", 9999); err != nil {
		t.Fatal(err)
	}
	if err := send(question, "127.0.0.3", 53); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the question", func(p []packet) bool { return len(p) > 0 && string(p[len(p)-1].payload) == question })
	if p := w.packets[0]; len(w.packets) != 1 || address(p.Remote).String() != "127.0.0.3" {
		t.Errorf("%d packets, the first %q to %v", len(w.packets), p.payload, address(p.Remote))
	}
}

// TestSharedSocket: threads that send by one socket at the same time, each to a server of
// its own. Long enough that on two CPUs one is often between the other's sendto(2) and its packet.
func TestSharedSocket(t *testing.T) {
	sensortest.OwnNetwork(t)
	w := startWith(t, "", kern.Options{MapEntries: map[string]uint32{"telemetry": 32 << 20}}) // for all of them
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const each, threads = 20_000, 2
	var ready, all sync.WaitGroup
	ready.Add(threads)
	for i := range threads {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			ready.Wait()
			to := &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, byte(10 + i)}}
			for range each {
				if err := unix.Sendto(fd, fmt.Appendf(nil, "127.0.0.%d", 10+i), 0, to); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	w.until(t, "all questions", func(p []packet) bool { return len(p) >= threads*each })
	wrong := 0
	for _, p := range w.packets {
		if address(p.Remote).String() != string(p.payload) || p.RemotePort != 53 {
			wrong++
		}
	}
	if wrong > 0 || len(w.packets) != threads*each {
		t.Errorf("%d of %d packets are told of another server", wrong, len(w.packets))
	}
}
