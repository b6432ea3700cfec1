// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// older is a server and two connections to it, all of this process, from before the agent.
type older struct {
	listener net.Listener
	ends     [2]struct{ client, server net.Conn }
}

func newOlder(t *testing.T) *older {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // an MPTCP socket, where the kernel has them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o := &older{listener: l}
	for i := range o.ends {
		end := &o.ends[i]
		if end.client, err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if end.server, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end.client.Close(); end.server.Close() })
	}
	return o
}

func (o *older) port() int { return o.listener.Addr().(*net.TCPAddr).Port }

// TestOlderThanTheAgent: of a Go server that was there before the agent, the listener is
// listed, its connections are inbound and their clients outbound, in the table and in the
// records of their ends, whether the listener is still there or not; and nothing is said of
// since when they are open.
func TestOlderThanTheAgent(t *testing.T) {
	o := newOlder(t)
	h := newPrivateHouse(t, "log: {level: debug}\n")
	a := h.start()
	// What the table has too much goes when it is compared with what the kernel counts.
	within(t, skepdtest.Patience, "the comparison with the kernel's sockets", func() error {
		if !strings.Contains(a.text(), "connections compared with the kernel's") {
			return errors.New("no line of the log says that it is over")
		}
		return nil
	})
	want := map[string]int{"listen": 1, "inbound": 2, "outbound": 2}
	got := map[string]int{}
	for _, info := range parseConnections(t, h.skep("connections", "--port", strconv.Itoa(o.port()), "-o", "json")) {
		got[info.Connection.Direction]++
		if info.Process.GetPid() != uint32(os.Getpid()) || info.Opened != nil {
			t.Errorf("an older socket is listed as %v", info)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("listed are %v, want %v", got, want)
	}
	for line := range strings.Lines(h.skep("connections", "--port", strconv.Itoa(o.port()))) {
		if strings.Contains(line, strconv.Itoa(o.port())) && !strings.Contains(line, " - ") {
			t.Errorf("an age is shown: %s", line)
		}
	}
	s := a.observe("close")
	closePair := func(i int) {
		o.ends[i].client.Close()
		io.Copy(io.Discard, o.ends[i].server)
		o.ends[i].server.Close()
	}
	closePair(0)
	o.listener.Close()
	closePair(1)
	for _, end := range o.ends {
		client := uint32(end.client.LocalAddr().(*net.TCPAddr).Port)
		for direction, local := range map[string]uint32{"outbound": client, "inbound": uint32(o.port())} {
			r := s.find("the close of an end", func(r *skepv1.Record) bool {
				c := r.GetConnection()
				return c.GetLocal().GetPort() == local && (c.GetRemote().GetPort() == client || local == client)
			})
			if c := r.GetConnection(); c.Direction != direction || c.CloseReason == "unaccepted" {
				t.Errorf("the close of the %s end is %v", direction, c)
			}
		}
	}
}
