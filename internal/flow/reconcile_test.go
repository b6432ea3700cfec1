// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"testing"

	"github.com/skep-io/skep/internal/abi"
)

func TestReconcile(t *testing.T) {
	table := newTable() // event n opens its socket at 900+n
	table.Apply(event(abi.EventListen, 1, 7, server, "", abi.TcpListener), resolve)
	table.Apply(event(abi.EventConnect, 2, 8, client, server, 0), resolve)
	table.Apply(event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive), resolve)
	table.Apply(event(abi.EventListen, 4, 7, "10.0.0.2:81", "", abi.TcpListener), resolve)
	table.Apply(event(abi.EventConnect, 50, 8, client, "10.0.0.2:443", 0), resolve)

	if n := table.Reconcile(map[uint64]struct{}{1: {}, 2: {}}, 950); n != 2 {
		t.Errorf("dropped %d, want the server's end and a listener", n)
	}
	for id, want := range map[uint64]bool{1: true, 2: true, 3: false, 4: false, 50: true} {
		if got := table.open[id] != nil; got != want {
			t.Errorf("socket %d is open: %v, want %v", id, got, want)
		}
	}
	if n := table.CountByProcess("p9"); n != 0 {
		t.Errorf("the dead end's owner has %d connections", n)
	}
	// One that lives after all comes back, and finds its other end.
	r := table.Apply(event(abi.EventAccept, 3, 9, server, client, abi.TcpPassive), resolve)
	if r.GetConnection().GetPeer().GetPid() != 8 {
		t.Errorf("accept after all: %v", r)
	}
	if n := table.Reconcile(nil, 1000); n != 4 {
		t.Errorf("dropped %d, want all 4", n)
	}
	if len(table.open)+len(table.ends)+len(table.listeners)+len(table.owners) != 0 {
		t.Errorf("left over: %v %v %v %v", table.open, table.ends, table.listeners, table.owners)
	}
	// The close of a dropped one is still told.
	if r := table.Apply(event(abi.EventClose, 50, 8, client, "10.0.0.2:443", 0), resolve); r.GetProcess().GetPid() != 8 {
		t.Errorf("close of a dropped socket: %v", r)
	}
}
