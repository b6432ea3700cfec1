// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"testing"

	"github.com/skep-io/skep/internal/abi"
)

// A scan met the connect under way.
func TestConnectUnderWay(t *testing.T) {
	table := newTable()
	met := event(abi.EventConnect, 5, 8, client, server, abi.TcpPreexisting)
	met.Socket.State, met.Socket.EstablishedNS = stateSynSent, 0
	table.Seed(met, resolve)
	wantStates(t, table.List(false, Traffic{}), "SYN_SENT")
	through := event(abi.EventConnect, 5, 8, client, server, abi.TcpPreexisting)
	through.Socket.State = 1 // ESTABLISHED
	r := table.Apply(through, resolve)
	if r.GetKind() != "connect" || r.GetConnection().Error != 0 || !r.GetConnection().Preexisting {
		t.Errorf("connect: %v", r)
	}
	wantStates(t, table.List(false, Traffic{}), "ESTABLISHED")
}
