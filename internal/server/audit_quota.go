// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

// What one user can write into the audit log: so much at once, and so much in the long
// run, which is 2.6 MiB a day. The log holds 80 MiB, so whoever calls without end needs a
// month to push the lines of others out of it.
const (
	auditBurst  = 64 << 10 // bytes
	auditRefill = 32       // bytes a second
	// A summary may be written on credit: what it tells must not wait for ever.
	auditCredit = 4 << 10
	// summaryEvery is the time between two summaries of one user.
	summaryEvery = time.Minute
	maxQuotas    = 1024
	// Of the callers without a role, whose lines are summed up together, so many are named.
	maxSummaryUIDs = 16
)

// nobody stands for all users without a role: one person may have many uids (subuid(5)),
// so they share a quota.
const nobody = -1

// quotaKey is who pays for a line. With a token that is the token's user at this peer,
// so that the users of the page do not pay for each other.
type quotaKey struct {
	peer, uid int64
	// acts: for calls that do more than read there is a quota of their own, so that nobody
	// hides one behind a thousand others.
	acts bool
}

// acting are the methods that do more than read.
var acting = map[string]bool{skepv1connect.AgentServiceCreateTokenProcedure: true}

func (c *call) payer() quotaKey {
	key := quotaKey{nobody, nobody, acting[c.procedure]}
	if c.caller.member {
		key.peer = int64(c.caller.peer.uid)
	}
	if c.caller.member || c.caller.token != nil {
		key.uid = int64(c.caller.uid)
	}
	return key
}

// quota is what a user has left to write, and what was counted instead of written.
type quota struct {
	user  *auditUser // nil for callers without a role
	left  float64    // bytes; below 0 it is a debt
	at    time.Time  // of left
	since time.Time  // the first of counts
	calls map[string]map[string]uint64
	uids  []uint32
}

// auditSummary is the line that tells of calls that got none of their own.
type auditSummary struct {
	Time  string `json:"time"`
	Event string `json:"event"` // summary
	*auditUser
	// Without a user: some of those who called without a role.
	UIDs  []uint32 `json:"uids,omitempty"`
	Since string   `json:"since"`
	// How many by method and code; "started" are streams whose end has a line of its own.
	Calls map[string]map[string]uint64 `json:"calls"`
}

// quotaOf finds who pays for a caller's line. It is called with the lock held.
func (a *audit) quotaOf(c *call, now time.Time) *quota {
	key := c.payer()
	if a.quotas[key] == nil && len(a.quotas) >= maxQuotas {
		key = quotaKey{nobody, nobody, key.acts}
	}
	q := a.quotas[key]
	if q == nil {
		q = &quota{left: auditBurst, at: now}
		if key.uid != nobody {
			user := c.caller.auditUser()
			q.user = &user
		}
		a.quotas[key] = q
	}
	return q
}

func (q *quota) mayWrite(now time.Time) bool {
	q.refill(now)
	return q.left > 0
}

func (q *quota) refill(now time.Time) {
	q.left = min(auditBurst, q.left+auditRefill*now.Sub(q.at).Seconds())
	q.at = now
}

func (q *quota) pay(bytes int) { q.left -= float64(bytes) }

// count notes a line that is not written.
func (q *quota) count(c *call, now time.Time) {
	if q.calls == nil {
		q.calls, q.since = map[string]map[string]uint64{}, now
	}
	method := q.calls[c.counted()]
	if method == nil {
		method = map[string]uint64{}
		q.calls[c.counted()] = method
	}
	code := c.line.Code
	if c.line.Event == "start" {
		code = "started"
	}
	method[code]++
	if q.user == nil && len(q.uids) < maxSummaryUIDs && !slices.Contains(q.uids, c.caller.uid) {
		q.uids = append(q.uids, c.caller.uid)
	}
}

// summarise writes what was counted, with last also what would have to wait, and forgets
// the quotas in which nothing has happened for long.
func (a *audit) summarise(last bool) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, q := range a.quotas {
		q.refill(now)
		switch {
		case q.calls == nil && q.left >= auditBurst:
			delete(a.quotas, key)
		case q.calls != nil && (last || q.left > -auditCredit):
			text, err := json.Marshal(auditSummary{
				Time: auditTime(now), Event: "summary", auditUser: q.user, UIDs: q.uids,
				Since: auditTime(q.since), Calls: q.calls,
			})
			q.pay(len(text) + 1)
			q.calls, q.uids = nil, nil
			a.append(text, err)
		}
	}
}

// run writes summaries until ctx is done.
func (a *audit) run(ctx context.Context) {
	tick := time.NewTicker(summaryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.summarise(false)
		}
	}
}
