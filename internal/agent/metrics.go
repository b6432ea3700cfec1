// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net"

	"github.com/skep-io/skep/internal/server"
)

// openMetrics takes the address before anything is attached, so that one that cannot be
// had is told at once.
func (a *Agent) openMetrics() error {
	l, err := listenMetrics(a.options.Config.Metrics.Listen)
	a.metrics = &metrics{listener: l, moves: make(chan net.Listener), ended: make(chan struct{})}
	return err
}

// listenMetrics returns nil for no address.
func listenMetrics(address string) (net.Listener, error) {
	if address == "" { // which net.Listen takes for every interface
		return nil, nil
	}
	l, err := server.ListenTCP(address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w; set metrics.listen in skep.yaml to another address, or to none", err)
	}
	return l, nil
}

// metrics serves on a listener that may be exchanged for another one, or none.
type metrics struct {
	listener net.Listener
	moves    chan net.Listener
	ended    chan struct{} // when run is
}

// move returns once the listener is in use. The old one is closed then.
func (m *metrics) move(l net.Listener) {
	select {
	case m.moves <- l:
	case <-m.ended:
		if l != nil {
			l.Close()
		}
	}
}

func (m *metrics) run(ctx context.Context, s *server.Server) error {
	defer close(m.ended)
	for {
		next, err := m.serve(ctx, s)
		if err != nil || ctx.Err() != nil {
			return err
		}
		m.listener = next
	}
}

// serve returns the next listener, if that is why it ends.
func (m *metrics) serve(ctx context.Context, s *server.Server) (next net.Listener, err error) {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	if m.listener != nil {
		go func() { ended <- s.ServeMetrics(serving, m.listener) }()
	} else {
		context.AfterFunc(serving, func() { ended <- nil })
	}
	select {
	case err := <-ended:
		return nil, err
	case next = <-m.moves:
	}
	stop()
	return next, <-ended
}

// metricsServed tells whether metrics are served at the moment.
func (a *Agent) metricsServed() bool { return a.inForce.Load().Metrics.Listen != "" }
