// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// undecidedEvery is how often a stream tells what --where could not decide.
const undecidedEvery = 10 * time.Second

// undecided tells what --where could not decide: the first time at once, then seldom.
type undecided struct {
	*app
	untold uint64
	reason string
	toldAt time.Time
	said   bool
}

func (u *undecided) add(m *skepv1.Undecided) {
	if m.GetCount() == 0 {
		return
	}
	u.untold, u.reason = u.untold+m.GetCount(), m.GetReason()
	if time.Since(u.toldAt) >= undecidedEvery {
		u.end()
	}
}

// end tells what has not been told yet.
func (u *undecided) end() {
	if u.untold == 0 {
		return
	}
	fmt.Fprintf(u.err, "skep: --where came to no result %s times, and what it was asked about is left out: %s\n",
		formatCount(u.untold), event.Printable(u.reason))
	u.untold, u.toldAt, u.said = 0, time.Now(), true
}

// warnUndecided is that for an answer of one piece; it fails quietly if the answer is empty
// only because of it.
func (a *app) warnUndecided(m *skepv1.Undecided, shown int) error {
	u := undecided{app: a}
	u.add(m)
	if u.said && shown == 0 {
		return errQuiet
	}
	return nil
}
