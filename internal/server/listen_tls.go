// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Anybody on the network may begin a handshake: so many at a time, and no
	// longer than this.
	maxHandshakes = 64
	handshakeTime = 5 * time.Second
	// lingers is how long one that has failed stays, so that the client reads why.
	lingers = time.Second
)

// tlsListener knows the peer of each connection by its certificate. Handshakes
// run beside each other: Accept returns connections that have one behind them.
type tlsListener struct {
	net.Listener
	options TLSOptions
	logger  *slog.Logger
	begin   sync.Once
	places  chan struct{}
	ready   chan net.Conn
	ended   chan struct{} // then err is why
	err     error
	// Connections without a good certificate, or without a place for a handshake.
	refused atomic.Uint64
}

// ListenTLS opens the agent's TCP listener. It refuses what is not complete.
func ListenTLS(o TLSOptions, logger *slog.Logger) (net.Listener, error) {
	err := o.complete()
	if err == nil {
		_, _, err = o.load()
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Address, err)
	}
	l, err := ListenTCP(o.Address)
	if err != nil {
		return nil, fmt.Errorf("%w; set listen.address in skep.yaml to another address, or to none", err)
	}
	return &tlsListener{
		Listener: l, options: o, logger: logger,
		places: make(chan struct{}, maxHandshakes), ready: make(chan net.Conn), ended: make(chan struct{}),
	}, nil
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.acceptAll() })
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.ended:
		return nil, l.err
	}
}

func (l *tlsListener) acceptAll() {
	defer close(l.ended)
	for {
		conn, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			l.err = err
			return
		case err != nil: // no file descriptor is left, say
			l.logger.Warn("a connection was not accepted", "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		select {
		case l.places <- struct{}{}:
			go func() {
				defer func() { <-l.places }()
				l.handshake(conn.(*net.TCPConn))
			}()
		default:
			l.refused.Add(1)
			conn.Close()
		}
	}
}

func (l *tlsListener) handshake(tcp *net.TCPConn) {
	conn, p, err := l.meet(tcp)
	if err != nil {
		l.refuse(tcp, err)
		return
	}
	select {
	case l.ready <- &peerConn{Conn: conn, peer: *p}:
	case <-l.ended:
		conn.Close()
	}
}

func (l *tlsListener) meet(tcp *net.TCPConn) (*tls.Conn, *peer, error) {
	config, p, err := l.options.load()
	if err != nil {
		l.logger.Error("nobody can connect over TCP", "error", err)
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	conn := tls.Server(tcp, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	p.address = tcp.RemoteAddr().String()
	return conn, p, nil
}

// refuse closes a connection so that the client can read the alert: closing
// with its bytes unread would reset the connection.
func (l *tlsListener) refuse(tcp *net.TCPConn, err error) {
	defer tcp.Close()
	l.refused.Add(1)
	level := slog.LevelDebug // anybody can cause these
	var known *notListed
	if errors.As(err, &known) {
		level = slog.LevelWarn
	}
	l.logger.Log(context.Background(), level, "refused a connection over TCP", "from", tcp.RemoteAddr(), "error", err)
	if tcp.CloseWrite() == nil && tcp.SetReadDeadline(time.Now().Add(lingers)) == nil {
		_, _ = io.CopyN(io.Discard, tcp, 64<<10) // the client's, unread by intent
	}
}
