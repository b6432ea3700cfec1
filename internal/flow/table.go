// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"net/netip"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// Options bound a [Table].
type Options struct {
	// MaxOpen is how many open sockets are kept.
	MaxOpen int
	// MaxClosed is how many closed or failed connections are remembered, and ClosedFor how long.
	MaxClosed int
	ClosedFor time.Duration
	// Wall turns CLOCK_BOOTTIME nanoseconds into wall time.
	Wall func(bootNS uint64) time.Time
	// Name tells by which name a process knows an address at a boot time, "" for none.
	Name func(netns uint32, address netip.Addr, processID string, bootNS uint64) string
}

// Resolve names the process of an exec id, or returns nil.
type Resolve func(abi.ExecID) *skepv1.Process

// Table is the connections of one host.
type Table struct {
	options Options

	mu        sync.RWMutex
	open      map[uint64]*conn // by the kernel side's id
	ends      map[pair]*conn   // heads of chains along ofPair; listeners have no other end
	listeners map[port]int
	owners    map[string]*owned // by process id
	closed    queue
	untracked uint64
}

// port is where a listener is found.
type port struct {
	netns  uint32
	number uint16
}

// New returns an empty table.
func New(options Options) *Table {
	if options.Wall == nil {
		options.Wall = func(ns uint64) time.Time { return time.Unix(0, int64(ns)) }
	}
	return &Table{
		options:   options,
		open:      map[uint64]*conn{},
		ends:      map[pair]*conn{},
		listeners: map[port]int{},
		owners:    map[string]*owned{},
	}
}

// Apply takes one event of the TCP sensor and returns its record, or nil where an
// event is no news to the user. Kind, boot time, process and connection are set,
// the rest is for the caller to fill in.
func (t *Table) Apply(e *abi.TcpRecord, resolve Resolve) *skepv1.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch abi.EventType(e.Header.Type) {
	case abi.EventConnect:
		return t.connect(e, resolve)
	case abi.EventEstablished:
		t.link(t.enter(e, resolve))
	case abi.EventAccept:
		return t.accept(e, resolve)
	case abi.EventListen:
		return t.record("listen", t.enter(e, resolve), e)
	case abi.EventUnlisten:
		t.leave(t.open[e.Socket.ID])
	case abi.EventClose:
		return t.close(e, resolve)
	}
	return nil
}

// Seed takes a socket that was found by a scan: it is entered, and makes no record.
// All seeds come before the first event, though the programs were attached before
// the scan: a socket in both is known by its id. [Table.Seeded] ends them.
func (t *Table) Seed(e *abi.TcpRecord, resolve Resolve) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[e.Socket.ID] == nil {
		t.link(t.enter(e, resolve))
	}
}

// Seeded says that all seeds have come. With all listeners known, the direction of each
// connection that is older than the agent follows from whether somebody listens where it
// ends; it then stays, whatever becomes of the listener.
func (t *Table) Seeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.open {
		t.orient(c)
	}
}

// orient finds the direction of a connection that the kernel side was too late to see made.
func (t *Table) orient(c *conn) {
	if c.is(abi.TcpPreexisting) && !c.is(abi.TcpListener) && c.socket.State != stateSynSent {
		c.inbound = t.listeners[c.port()] > 0
	}
}

func (t *Table) connect(e *abi.TcpRecord, resolve Resolve) *skepv1.Record {
	if e.Socket.Flags&uint16(abi.TcpFailed) == 0 {
		c := t.enter(e, resolve)
		c.socket = e.Socket // a scan may have met it in SYN_SENT
		t.link(c)
		return t.record("connect", c, e)
	}
	c := t.open[e.Socket.ID] // only if a scan met it in SYN_SENT
	t.leave(c)
	c = t.newConn(e, resolve)
	t.bury(c, e)
	return t.record("connect", c, e)
}

func (t *Table) accept(e *abi.TcpRecord, resolve Resolve) *skepv1.Record {
	c := t.gone(e)
	if c == nil {
		c = t.enter(e, resolve)
		t.link(c)
	}
	// Two threads may be the first to read or write at once.
	if c.announced {
		return nil
	}
	c.announced = true
	c.socket.Owner, c.socket.Source = e.Socket.Owner, e.Socket.Source
	t.give(c, owner(e, resolve))
	return t.record("accept", c, e)
}

func (t *Table) close(e *abi.TcpRecord, resolve Resolve) *skepv1.Record {
	c := t.open[e.Socket.ID]
	t.leave(c)
	if c == nil {
		c = t.newConn(e, resolve)
	}
	c.socket = e.Socket
	t.bury(c, e)
	return t.record("close", c, e)
}

// gone is the connection of an accept that comes after its close, nil for any other: the
// acceptor and a reset were at it on two CPUs at once. It does not enter the table again.
func (t *Table) gone(e *abi.TcpRecord) *conn {
	if e.Socket.State != stateClose || t.open[e.Socket.ID] != nil {
		return nil
	}
	for i := t.closed.n - 1; i >= 0; i-- {
		if c := t.closed.at(i); c.socket.ID == e.Socket.ID {
			return c
		}
	}
	return newConn(e)
}

func owner(e *abi.TcpRecord, resolve Resolve) *skepv1.Process {
	if e.Socket.Owner.Tgid == 0 {
		return nil
	}
	return resolve(e.Socket.Owner)
}

// newConn makes a connection with its owner, and the name that it was made by.
func (t *Table) newConn(e *abi.TcpRecord, resolve Resolve) *conn {
	c := newConn(e)
	c.process = owner(e, resolve)
	t.orient(c)
	if t.options.Name != nil && c.remote != nil && !c.is(abi.TcpPassive) {
		c.remoteName = t.options.Name(c.socket.Ends.Netns, c.pair.remote.Addr(), c.process.GetProcessId(), e.Header.BootNS)
	}
	return c
}

// enter makes the socket known, unless the table is full: then it is only made.
func (t *Table) enter(e *abi.TcpRecord, resolve Resolve) *conn {
	if c := t.open[e.Socket.ID]; c != nil {
		return c
	}
	c := t.newConn(e, resolve)
	if len(t.open) >= t.options.MaxOpen {
		t.untracked++
		return c
	}
	t.open[c.socket.ID] = c
	if c.is(abi.TcpListener) {
		t.listeners[c.port()]++
	} else {
		t.chain(c)
	}
	t.give(c, c.process)
	return c
}

func (c *conn) port() port { return port{c.socket.Ends.Netns, c.pair.local.Port} }

// leave forgets an open socket; its other end still points to it.
func (t *Table) leave(c *conn) {
	if c == nil {
		return
	}
	delete(t.open, c.socket.ID)
	if c.is(abi.TcpListener) {
		if t.listeners[c.port()]--; t.listeners[c.port()] == 0 {
			delete(t.listeners, c.port())
		}
	} else {
		t.unchain(c)
	}
	t.disown(c)
}

func (t *Table) chain(c *conn) {
	head := t.ends[c.pair]
	if head != nil {
		head.ahead = c
	}
	c.ofPair = head
	t.ends[c.pair] = c
}

func (t *Table) unchain(c *conn) {
	switch {
	case c.ahead != nil:
		c.ahead.ofPair = c.ofPair
	case c.ofPair != nil:
		t.ends[c.pair] = c.ofPair
	default:
		delete(t.ends, c.pair)
	}
	if c.ofPair != nil {
		c.ofPair.ahead = c.ahead
	}
	c.ofPair, c.ahead = nil, nil
}

// link finds the other end of a connection on this host: the same namespace first,
// then any, but for loopback addresses, which mean another place in each.
func (t *Table) link(c *conn) {
	if c.other != nil || c.is(abi.TcpListener) {
		return
	}
	var found *conn
	loopback := c.pair.local.Addr().IsLoopback()
	for o := t.ends[c.pair.reverse()]; o != nil; o = o.ofPair {
		same := o.socket.Ends.Netns == c.socket.Ends.Netns
		if o == c || o.other != nil || (loopback && !same) {
			continue
		}
		if found == nil || same {
			found = o
		}
		if same {
			break
		}
	}
	if found != nil {
		c.other, found.other = found, c
	}
}
