// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestFlowsSurvive: what flows while no agent runs is counted, and told by the next.
func TestFlowsSurvive(t *testing.T) {
	h := newHouse(t)
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	dial := func() *net.UDPConn {
		c, err := net.DialUDP("udp4", nil, sink.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	send := func(c *net.UDPConn, n int) {
		for range n {
			if _, err := c.Write([]byte("0123456789")); err != nil {
				t.Fatal(err)
			}
		}
	}
	long, short := dial(), dial()
	defer long.Close()
	port := func(c *net.UDPConn) uint32 { return uint32(c.LocalAddr().(*net.UDPAddr).Port) }
	a := h.start()
	send(long, 3)
	a.kill()
	send(long, 4)
	send(short, 2)
	short.Close()
	a = h.start()
	s := a.observe()
	told := func(port uint32) *skepv1.Connection {
		return s.find("flow", func(r *skepv1.Record) bool {
			return r.Kind == "udp" && r.GetConnection().Local.Port == port && r.GetConnection().CloseReason != ""
		}).GetConnection()
	}
	if c := told(port(short)); c.PacketsSent != 2 || c.BytesSent != 20 || c.CloseReason != "closed" {
		t.Errorf("the flow of the time between: %v", c)
	}
	send(long, 1)
	at := port(long)
	long.Close()
	if c := told(at); c.PacketsSent != 8 || c.BytesSent != 80 {
		t.Errorf("the flow of all the time: %v", c)
	}
}
