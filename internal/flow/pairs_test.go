// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"testing"
	"time"

	"github.com/skep-io/skep/internal/abi"
)

// TestManyOfOnePair: sockets that share their ends, as a user may make any number of,
// are forgotten as fast oldest first as newest first.
func TestManyOfOnePair(t *testing.T) {
	const n = 30_000
	for name, made := range map[string]func(id uint64) *abi.TcpRecord{
		"listeners": func(id uint64) *abi.TcpRecord { return event(abi.EventListen, id, 1, server, "", abi.TcpListener) },
		"connects in many namespaces": func(id uint64) *abi.TcpRecord {
			return inNetns(event(abi.EventConnect, id, 1, client, server, 0), uint32(id))
		},
	} {
		cost := func(nth func(i int) int) time.Duration {
			table := New(Options{MaxOpen: n})
			for id := range uint64(n) {
				table.Apply(made(id+1), resolve)
			}
			began := time.Now()
			for i := range n {
				table.mu.Lock()
				table.leave(table.open[uint64(nth(i))+1])
				table.mu.Unlock()
			}
			took := time.Since(began)
			checkIndexes(t, table)
			if len(table.ends)+len(table.open)+len(table.listeners) != 0 {
				t.Errorf("%s: %d ends, %d open, %d listeners are left", name, len(table.ends), len(table.open), len(table.listeners))
			}
			return took
		}
		newest, oldest := time.Hour, time.Hour
		for range 3 {
			newest = min(newest, cost(func(i int) int { return n - 1 - i }))
			oldest = min(oldest, cost(func(i int) int { return i }))
		}
		if oldest > 10*newest {
			t.Errorf("%s: oldest first takes %v, newest first %v", name, oldest, newest)
		}
	}
}
