// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"cmp"
	"slices"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// Traffic is what open sockets had carried, by the kernel side's id, at a moment (boot
// time in nanoseconds). The zero value knows of none.
type Traffic struct {
	AtNS uint64
	Of   map[uint64]abi.TcpTraffic
}

// List returns all open sockets and, if closed is set, the connections that are
// over and still remembered; newest first.
func (t *Table) List(closed bool, traffic Traffic) []*skepv1.ConnectionInfo {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*conn, 0, len(t.open))
	for _, c := range t.open {
		all = append(all, c)
	}
	if closed {
		for i := range t.closed.n {
			all = append(all, t.closed.at(i))
		}
	}
	return t.infos(all, traffic)
}

// Of returns the open sockets of a process, newest first.
func (t *Table) Of(processID string, traffic Traffic) []*skepv1.ConnectionInfo {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []*conn
	if o := t.owners[processID]; o != nil {
		for c := o.first; c != nil; c = c.behind {
			all = append(all, c)
		}
	}
	return t.infos(all, traffic)
}

// Carried is how many open connections a process has, and what they have carried so far
// where that is known.
type Carried struct {
	Connections    int
	Sent, Received uint64
}

// Carried returns it by process id, of each process that has a connection.
func (t *Table) Carried(traffic Traffic) map[string]Carried {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[string]Carried, len(t.owners))
	for id, o := range t.owners {
		if o.connections == 0 {
			continue // it listens only
		}
		sum := Carried{Connections: o.connections}
		for c := o.first; c != nil; c = c.behind {
			n := traffic.Of[c.socket.ID]
			sum.Sent, sum.Received = sum.Sent+n.BytesSent, sum.Received+n.BytesReceived
		}
		all[id] = sum
	}
	return all
}

// CountByProcess returns how many open connections, not counting listeners, a process owns.
func (t *Table) CountByProcess(processID string) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if o := t.owners[processID]; o != nil {
		return o.connections
	}
	return 0
}

// Stats is how full the table is.
type Stats struct {
	Open, Closed int
	// Untracked counts sockets that came when the table was full.
	Untracked uint64
}

// Stats returns how full the table is.
func (t *Table) Stats() Stats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return Stats{Open: len(t.open), Closed: t.closed.n, Untracked: t.untracked}
}

func (t *Table) infos(all []*conn, traffic Traffic) []*skepv1.ConnectionInfo {
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(b.socket.OpenedNS, a.socket.OpenedNS) })
	list := make([]*skepv1.ConnectionInfo, len(all))
	for i, c := range all {
		list[i] = t.info(c, traffic)
	}
	return list
}

func (t *Table) info(c *conn, traffic Traffic) *skepv1.ConnectionInfo {
	connection := &skepv1.Connection{}
	c.fill(connection)
	countedNS := c.count(connection, traffic)
	return &skepv1.ConnectionInfo{
		Process:    c.process,
		Connection: connection,
		State:      c.state(),
		Opened:     stamp(t.options.Wall, c.openedNS()),
		Closed:     stamp(t.options.Wall, c.closedNS),
		Counted:    stamp(t.options.Wall, countedNS),
	}
}

// openedNS is 0 for a socket that is older than the kernel side, which knows when it met
// it and not since when it is there.
func (c *conn) openedNS() uint64 {
	if c.is(abi.TcpPreexisting) {
		return 0
	}
	return c.socket.OpenedNS
}

// count writes what the connection has carried, and returns when that was; 0 where it is
// not known.
func (c *conn) count(to *skepv1.Connection, traffic Traffic) (atNS uint64) {
	if c.last != nil {
		fillEnd(to, c.last)
		if c.is(abi.TcpFailed) {
			return 0
		}
		return c.closedNS
	}
	n, ok := traffic.Of[c.socket.ID]
	if !ok || c.is(abi.TcpListener) {
		return 0
	}
	fillTraffic(to, &n, c.socket.EstablishedNS, traffic.AtNS)
	return traffic.AtNS
}
