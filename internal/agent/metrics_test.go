// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestMoveAfterTheEnd: a reload that comes when the metrics are served no more neither
// waits for ever nor keeps its listener.
func TestMoveAfterTheEnd(t *testing.T) {
	m := &metrics{moves: make(chan net.Listener), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	l, err := listenMetrics("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	moved := make(chan struct{})
	go func() {
		m.move(l)
		close(moved)
	}()
	select {
	case <-moved:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("the listener is open")
	}
}
