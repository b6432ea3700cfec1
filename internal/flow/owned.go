// SPDX-License-Identifier: Apache-2.0

package flow

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// owned is the open sockets of one process.
type owned struct {
	id          string
	first       *conn
	connections int // without listeners
}

// give makes a process, or nobody if nil, the owner of an open socket.
func (t *Table) give(c *conn, p *skepv1.Process) {
	t.disown(c)
	c.process = p
	if p == nil || t.open[c.socket.ID] != c {
		return
	}
	o := t.owners[p.ProcessId]
	if o == nil {
		o = &owned{id: p.ProcessId}
		t.owners[p.ProcessId] = o
	}
	c.ofOwner, c.behind = o, o.first
	if o.first != nil {
		o.first.before = c
	}
	o.first = c
	if !c.is(abi.TcpListener) {
		o.connections++
	}
}

func (t *Table) disown(c *conn) {
	o := c.ofOwner
	if o == nil {
		return
	}
	if c.before != nil {
		c.before.behind = c.behind
	} else {
		o.first = c.behind
	}
	if c.behind != nil {
		c.behind.before = c.before
	}
	c.ofOwner, c.before, c.behind = nil, nil, nil
	if !c.is(abi.TcpListener) {
		o.connections--
	}
	if o.first == nil {
		delete(t.owners, o.id)
	}
}
