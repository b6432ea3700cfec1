// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"testing"
)

// TestPlan: every suite runs once on each kernel it wants, by a name of its own, and no guest has all of them.
func TestPlan(t *testing.T) {
	var all []builtSuite
	for i, s := range suites() {
		all = append(all, builtSuite{suite: s, guestDir: fmt.Sprint(i)})
	}
	ran, named := map[string]int{}, map[string]bool{}
	for _, b := range plan(all, pattern{{}}) {
		if len(b.suites) == 0 || len(b.suites) > mostSuites {
			t.Errorf("a guest with %s runs %d suites", b.kernel.Name, len(b.suites))
		}
		for _, s := range b.suites {
			if s.system != b.system {
				t.Errorf("suite %s wants %+v and has %+v", s.name(), s.system, b.system)
			}
			ran[b.kernel.Name+" "+s.guestDir]++
			name := b.kernel.Name + "/" + s.name()
			if named[name] {
				t.Errorf("two suites are called %s", name)
			}
			named[name] = true
		}
	}
	for _, s := range all {
		for _, k := range Kernels() {
			want := 0
			if len(s.kernels) == 0 {
				want = 1
			}
			for _, name := range s.kernels {
				if name == k.Name {
					want = 1
				}
			}
			if got := ran[k.Name+" "+s.guestDir]; got != want {
				t.Errorf("suite %s %v runs %d times on %s, want %d", s.name(), s.args, got, k.Name, want)
			}
		}
	}
}
