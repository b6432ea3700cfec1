// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"io"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/skep-io/skep/internal/event"
)

// maxAuditRequest bounds what of a request is logged, in bytes.
const maxAuditRequest = 1024

// auditLine is one line of the audit log.
type auditLine struct {
	Time string `json:"time"`
	// call (a unary call that is done), start and end (of a stream), refused.
	Event string `json:"event"`
	UID   uint32 `json:"uid"`
	User  string `json:"user"`
	Role  string `json:"role"`
	// Of the process that made the connection; with a token it may belong to another user.
	PID     int32  `json:"pid"`
	PeerUID uint32 `json:"peer_uid"`
	// The id of the token that was used: never the token.
	TokenID  string          `json:"token_id,omitempty"`
	Method   string          `json:"method"`
	Request  json.RawMessage `json:"request,omitempty"`
	Code     string          `json:"code,omitempty"`
	Error    string          `json:"error,omitempty"`
	Duration int64           `json:"duration_ns,omitempty"`
	// Refused calls of this user that were not logged since the previous line.
	Suppressed int `json:"suppressed,omitempty"`
}

// audit writes the lines. An agent whose audit log cannot be written goes on
// (what it serves is read-only) but says so, once for each time that it begins.
type audit struct {
	out    io.Writer
	logger *slog.Logger
	mu     sync.Mutex
	broken bool
	failed atomic.Uint64
	quiet  refusals
}

func (a *audit) write(line auditLine) {
	line.Time = time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z")
	b, err := json.Marshal(line)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		_, err = a.out.Write(append(b, '\n'))
	}
	if err != nil {
		a.failed.Add(1)
		if !a.broken {
			a.logger.Error("the audit log cannot be written; calls go on", "error", err)
		}
	}
	a.broken = err != nil
}

// refused logs a call that the gate did not let in.
func (a *audit) refused(c caller, procedure string, err error) {
	suppressed, ok := a.quiet.admit(c.peer.uid, time.Now())
	if !ok {
		return
	}
	call := a.begin(c, procedure)
	call.line.Event, call.line.Suppressed = "refused", suppressed
	call.finish(err)
}

// refusals bounds the lines about refused calls, per user of the peer.
type refusals struct {
	mu    sync.Mutex
	since time.Time
	lines map[uint32]int // in the minute from since
	over  map[uint32]int // not logged, and not yet told
}

// admit says whether to log one more, and how many were left out before it.
func (r *refusals) admit(uid uint32, now time.Time) (suppressed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == nil || now.Sub(r.since) >= time.Minute {
		r.since, r.lines = now, map[uint32]int{}
	}
	if r.over == nil || len(r.over) > maxConns {
		r.over = map[uint32]int{}
	}
	if r.lines[uid]++; r.lines[uid] > maxRefusalsPerMinute {
		r.over[uid]++
		return 0, false
	}
	suppressed = r.over[uid]
	delete(r.over, uid)
	return suppressed, true
}

// call is one call on its way into the log.
type call struct {
	audit     *audit
	procedure string
	begun     time.Time
	line      auditLine
}

func (a *audit) begin(c caller, procedure string) *call {
	line := auditLine{
		UID: c.uid, User: c.user, Role: roleName(c.role), Method: path.Base(procedure),
		PID: c.peer.pid, PeerUID: c.peer.uid,
	}
	if c.token != nil {
		line.TokenID = c.token.shortID()
	}
	return &call{audit: a, procedure: procedure, begun: time.Now(), line: line}
}

// request notes what was asked for. No request of the API holds a secret.
func (c *call) request(message any) {
	m, ok := message.(proto.Message)
	if !ok {
		return
	}
	c.line.Request = event.AppendJSON(nil, m)
	if n := len(c.line.Request); n > maxAuditRequest {
		c.line.Request, _ = json.Marshal(map[string]int{"too_long_bytes": n})
	}
}

func (c *call) done(err error) {
	c.line.Event = "call"
	c.finish(err)
}

func (c *call) started() {
	c.line.Event = "start"
	c.audit.write(c.line)
	c.line.Request = nil
}

func (c *call) ended(err error) {
	c.line.Event = "end"
	c.finish(err)
}

func (c *call) finish(err error) {
	c.line.Code = codeOf(err)
	if err != nil {
		c.line.Error = event.Printable(err.Error())
	}
	c.line.Duration = int64(time.Since(c.begun))
	c.audit.write(c.line)
}

// codeOf is the result of a call in one word.
func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return connect.CodeOf(err).String()
}
