// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Conn is a connection to the agent of another host.
type Conn interface {
	net.Conn
	// Broken is how the connection ended by itself, an *Error, or nil.
	Broken() error
}

// Options are how to connect.
type Options struct {
	// Timeout bounds Dial, and what ssh does.
	Timeout time.Duration
	// Cert and Key are files of the caller's certificate for TLS, CA one of the
	// authorities of agents; all in PEM. Without CA those of the system count.
	Cert, Key, CA string
}

// Error is why a host is not reached, or not any more. It wraps nothing, so that
// nobody takes a broken connection for a broken output.
type Error struct {
	// Status is the exit status of skep on the other host; 0 where none is known.
	Status int
	// Refused says that the agent does not accept who calls.
	Refused bool
	reason  string
}

func (e *Error) Error() string { return e.reason }

// Dial connects to the agent of the host, or fails with an *Error or the context's
// error, within the timeout.
func (h Host) Dial(ctx context.Context, o Options) (Conn, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("reach a host: %w", err)
	}
	if h.TLS {
		c, err := h.dialTLS(ctx, o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	c, err := h.dialSSH(ctx, o.Timeout)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// breakage remembers the first reason.
type breakage struct{ first atomic.Pointer[Error] }

// by notes a reason and returns the first.
func (b *breakage) by(e *Error) error {
	b.first.CompareAndSwap(nil, e)
	return b.first.Load()
}

func (b *breakage) get() error {
	if e := b.first.Load(); e != nil {
		return e
	}
	return nil
}
