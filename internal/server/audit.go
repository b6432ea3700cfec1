// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// auditLine is one line of the audit log.
type auditLine struct {
	Time string `json:"time"`
	// call (a unary call, or what never became a call that could be read: it has ended),
	// start and end (of a stream), refused.
	Event string `json:"event"`
	auditUser
	// Of the process that made the connection; 0 over TCP.
	PID int32 `json:"pid"`
	// Over TCP: where the connection came from, and its certificate's serial number.
	Address     string `json:"address,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	// The id of the token that was used: never the token.
	TokenID  string          `json:"token_id,omitempty"`
	Method   string          `json:"method"`
	Request  json.RawMessage `json:"request,omitempty"`
	Code     string          `json:"code,omitempty"`
	Error    string          `json:"error,omitempty"`
	Duration int64           `json:"duration_ns,omitempty"`
}

// auditUser is whose call it is.
type auditUser struct {
	UID  uint32 `json:"uid"`
	User string `json:"user"`
	Role string `json:"role"`
	// Of the process that made the connection; with a token it may belong to another user.
	PeerUID uint32 `json:"peer_uid"`
}

// audit writes the lines, as many as each user may: the others are counted, and one
// summary tells of them. An agent whose audit log cannot be written goes on (what it
// serves is read-only) but says so, once for each time that it begins.
type audit struct {
	out    io.Writer
	logger *slog.Logger
	now    func() time.Time
	failed atomic.Uint64

	mu     sync.Mutex
	quotas map[quotaKey]*quota
	broken bool
}

func newAudit(out io.Writer, logger *slog.Logger) *audit {
	return &audit{out: out, logger: logger, now: time.Now, quotas: map[quotaKey]*quota{}}
}

// write logs the line of a call, or counts it.
func (a *audit) write(c *call) {
	now := a.now()
	c.line.Time = auditTime(now)
	text, err := json.Marshal(c.line)
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.caller.peer.uid == 0 { // root could remove the whole log
		a.append(text, err)
		return
	}
	q := a.quotaOf(c, now)
	if !q.mayWrite(now) {
		q.count(c, now)
		return
	}
	q.pay(len(text) + 1)
	a.append(text, err)
}

// append is called with the lock held.
func (a *audit) append(text []byte, err error) {
	if err == nil {
		_, err = a.out.Write(append(text, '\n'))
	}
	if err != nil {
		a.failed.Add(1)
		if !a.broken {
			a.logger.Error("the audit log cannot be written; calls go on", "error", err)
		}
	}
	a.broken = err != nil
}

func auditTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
