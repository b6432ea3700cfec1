// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// TestLostMove: a scan makes up for the record of a move that was lost, and undoes none
// that is younger.
func TestLostMove(t *testing.T) {
	table, where := newTable(10)
	a, b := &skepv1.Container{Id: "a"}, &skepv1.Container{Id: "b"}
	where[5], where[6] = Place{Container: a}, Place{Container: b}
	p := proc(1, 1, 2, abi.ExecID{})
	table.Exec(p, "x", exec("/x"))
	in := func(c *skepv1.Container, when string) {
		t.Helper()
		if got := table.Process(p.ID).Container; got != c {
			t.Errorf("%s: in %v, want %v", when, got, c)
		}
	}
	scanned := *p
	scanned.CgroupID = 5
	table.Existing([]abi.Process{scanned}, 100)
	in(a, "after the scan")
	table.Move(p.ID, 0, 90)
	in(a, "after a record from before the scan")
	table.Move(p.ID, 6, 110)
	table.Existing([]abi.Process{scanned}, 105)
	in(b, "after a scan that is older than the move")
	table.Existing([]abi.Process{scanned}, 120)
	in(a, "after a scan that is younger")
	next := proc(1, 1, 130, abi.ExecID{})
	next.CgroupID = 6
	table.Exec(next, "y", exec("/y"))
	p = next
	table.Existing([]abi.Process{scanned}, 125)
	in(b, "after a scan that is older than the image")
}
