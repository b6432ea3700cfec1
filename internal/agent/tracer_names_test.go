// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
)

// TestScriptNames: a name that comes is waited for, and a thousand that do not come take no longer
// than one.
func TestScriptNames(t *testing.T) {
	caught, asked := 0, 0
	n := &scriptNames{
		find: func(_ bt.Kind, name string) ([]uint64, bool) {
			if name == "late" {
				asked++
			}
			if asked > 3 {
				return []uint64{7}, false
			}
			return nil, true
		},
		catchUp: func(context.Context) { caught++ },
	}
	if got := n.Cgroups(bt.Container, "late"); !slices.Equal(got, []uint64{7}) || caught != 1 {
		t.Errorf("found %v, caught up %d times", got, caught)
	}
	asked = 0
	begun := time.Now()
	for i := range 1000 {
		if got := n.Cgroups(bt.Container, "never"+strconv.Itoa(i)); got != nil {
			t.Fatalf("found %v", got)
		}
	}
	if took := time.Since(begun); took > 5*resolvingTakes || caught != 1 {
		t.Errorf("1000 names took %v, caught up %d times", took, caught)
	}
}
