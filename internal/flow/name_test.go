// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/abi"
)

// TestRemoteName: a connection has the name that its address had for its process when it
// was made, and keeps it. One that was accepted has none.
func TestRemoteName(t *testing.T) {
	suffix := "first"
	table := New(Options{MaxOpen: 100, MaxClosed: 10, ClosedFor: time.Hour, Name: func(netns uint32, a netip.Addr, process string, bootNS uint64) string {
		return fmt.Sprint(netns, " ", a, " ", process, " ", bootNS, " ", suffix)
	}})
	connect := table.Apply(event(abi.EventConnect, 2, 8, client, server, 0), resolve)
	suffix = "later"
	closed := table.Apply(event(abi.EventClose, 2, 8, client, server, 0), resolve)
	for _, r := range []string{connect.GetConnection().RemoteName, closed.GetConnection().RemoteName, table.List(true, Traffic{})[0].Connection.RemoteName} {
		if want := "1 10.0.0.2 p8 1002 first"; r != want {
			t.Errorf("name %q, want %q", r, want)
		}
	}
	failed := table.Apply(event(abi.EventConnect, 4, 8, client, server, abi.TcpFailed), resolve)
	if got, want := failed.GetConnection().RemoteName, "1 10.0.0.2 p8 1004 later"; got != want {
		t.Errorf("failed: name %q, want %q", got, want)
	}
	accept := table.Apply(event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive), resolve)
	listen := table.Apply(event(abi.EventListen, 1, 7, server, "", abi.TcpListener), resolve)
	if a, l := accept.GetConnection().RemoteName, listen.GetConnection().RemoteName; a != "" || l != "" {
		t.Errorf("names %q and %q where nobody has asked", a, l)
	}
}
