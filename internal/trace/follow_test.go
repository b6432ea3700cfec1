// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"testing"

	"github.com/skep-io/skep/internal/bt"
)

// TestNothingToRun: what has but begin and end probes ends by itself, unless there is a command
// to wait for.
func TestNothingToRun(t *testing.T) {
	for script, want := range map[string]string{
		`BEGIN { printf("x"); @ = 1; } END { printf("y"); }`: "xy@: 1\n",
		`end { printf("y"); }`:                               "y",
	} {
		if got := run(t, script, nil); got.text != want || got.result != (Result{0, "done"}) {
			t.Errorf("%s: said %q, %+v", script, got.text, got.result)
		}
		s := start(t, script, bt.Options{})
		s.options.Command = true
		if got := follow(t, s, func() {}); got.text != want || got.result != (Result{0, "asked"}) {
			t.Errorf("%s, with a command: said %q, %+v", script, got.text, got.result)
		}
	}
}

// TestComplaints: errorf() and warnf() say where they are in the script.
func TestComplaints(t *testing.T) {
	got := ""
	for _, o := range run(t, `macro bad() { errorf("c"); } begin { errorf("a %d", 1); warnf("b"); bad(); }`, nil).outputs {
		if o.Kind == Errorf || o.Kind == Warnf {
			got += fmt.Sprintf("%v %d %s; ", o.Kind == Errorf, o.Pos.Column, o.Text)
		}
	}
	if want := "true 38 a 1; false 57 b; true 15 c; "; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}
