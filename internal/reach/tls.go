// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
)

// tlsConn is a connection to an agent that listens on TCP.
type tlsConn struct {
	*tls.Conn
	closed atomic.Bool
	broken breakage
}

func (h Host) dialTLS(ctx context.Context, o Options) (*tlsConn, error) {
	config, err := o.tls(h)
	if err != nil {
		return nil, &Error{reason: err.Error()}
	}
	inner, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(inner, "tcp", net.JoinHostPort(h.Name, cmp.Or(h.Port, DefaultPort)))
	switch {
	case err == nil:
		return &tlsConn{Conn: conn.(*tls.Conn)}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case inner.Err() != nil:
		return nil, &Error{reason: fmt.Sprintf("no answer within %v; a longer --timeout waits longer", o.Timeout)}
	}
	return nil, ofTLS(err)
}

// tls reads the files for one connection. The name that the agent's certificate
// must have is that of the host.
func (o Options) tls(h Host) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key: %w", o.Cert, err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: h.Name, NextProtos: []string{"h2"},
		// Always this one: without it the standard library sends none where it thinks
		// that the agent would not take it, and the agent could not say why.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}
	if o.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of agents: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the authorities of agents: no certificate in PEM is in %s", o.CA)
	}
	return config, nil
}

// ofTLS explains an error of the connection. In TLS 1.3 a client has finished
// before the agent has seen its certificate, so a refusal comes at the first read.
func ofTLS(err error) *Error {
	if errors.Is(err, io.EOF) {
		return &Error{reason: "the agent closed the connection"}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return &Error{Refused: true, reason: fmt.Sprintf("the agent does not accept the certificate (%v); its log says why", err)}
	}
	return &Error{reason: err.Error()}
}

// Read implements net.Conn. Its error says how the connection ended.
func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

// Write implements net.Conn, as Read does.
func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

func (c *tlsConn) explain(err error) error {
	if err == nil || c.closed.Load() || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return c.broken.by(ofTLS(err))
}

// Broken implements Conn.
func (c *tlsConn) Broken() error { return c.broken.get() }

// Close implements net.Conn.
func (c *tlsConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}
