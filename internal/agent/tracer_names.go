// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"time"

	"github.com/skep-io/skep/internal/bt"
)

// resolvingTakes is how long the names in a script are waited for that a runtime has not told yet:
// all together, as a script may have any number of them.
const resolvingTakes = 2 * time.Second

// scriptNames implements trace.Identity for one script.
type scriptNames struct {
	*scriptIdentity
	find  func(kind bt.Kind, name string) (found []uint64, unresolved bool)
	until time.Time // of all waiting, zero before there was any
}

func (i *scriptIdentity) ofScript() *scriptNames {
	return &scriptNames{scriptIdentity: i, find: i.cgroups}
}

// Cgroups implements bt.Identity.
func (n *scriptNames) Cgroups(kind bt.Kind, name string) []uint64 {
	found, unresolved := n.find(kind, name)
	if len(found) == 0 && n.until.IsZero() { // what was made just before the script may be on its way
		n.until = time.Now().Add(resolvingTakes)
		n.catchUp(context.Background())
		found, unresolved = n.find(kind, name)
	}
	for len(found) == 0 && unresolved && time.Now().Before(n.until) {
		time.Sleep(20 * time.Millisecond)
		found, unresolved = n.find(kind, name)
	}
	return found
}
