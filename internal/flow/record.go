// SPDX-License-Identifier: Apache-2.0

package flow

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// record makes a record in one allocation.
func (t *Table) record(kind string, c *conn, e *abi.TcpRecord) *skepv1.Record {
	r := &struct {
		record     skepv1.Record
		body       skepv1.Record_Connection
		connection skepv1.Connection
	}{}
	t.describe(&r.connection, c)
	r.connection.Backlog = e.Backlog
	if kind == "close" || c.is(abi.TcpFailed) {
		fillEnd(&r.connection, e)
	}
	r.body.Connection = &r.connection
	r.record.Kind = kind
	r.record.BootNs = e.Header.BootNS
	r.record.Process = c.process
	r.record.Body = &r.body
	return &r.record
}

// describe is fill with what takes the table to know.
func (t *Table) describe(to *skepv1.Connection, c *conn) {
	c.fill(to)
	to.Direction = t.direction(c)
	to.Peer = c.peer()
}

// direction of a connection that is older than the agent follows from whether
// somebody listens where it ends.
func (t *Table) direction(c *conn) string {
	switch {
	case c.is(abi.TcpListener):
		return "listen"
	case c.is(abi.TcpPassive):
		return "inbound"
	case c.is(abi.TcpPreexisting) && t.listeners[c.port()] > 0:
		return "inbound"
	}
	return "outbound"
}
