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
	c.fill(&r.connection)
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
