// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"testing"

	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/host"
)

// TestHostCalls: the configuration takes what the sensor has.
func TestHostCalls(t *testing.T) {
	if want := append([]string{host.Auto}, host.Groups()...); !slices.Equal(config.HostCalls, want) {
		t.Errorf("the configuration takes %v, the sensor has %v", config.HostCalls, want)
	}
}

// TestHostLadders: a group that is not wanted, and a rung that auto leaves out, are off with
// a reason; what was tried is told as it was.
func TestHostLadders(t *testing.T) {
	w := newHostWatch(nil, nil)
	kill := host.Ladders()[slices.Index(host.Groups(), "kill")]
	w.have["kill"] = kern.Signal{Ladder: kill, Rung: &kill.Rungs[0], Reports: []kern.RungReport{{Name: "fexit", State: kern.Used}}}
	w.have["memfd"] = kern.Signal{Reports: []kern.RungReport{{Name: "fexit", State: kern.Unavailable, Reason: "x"}}}
	for _, s := range w.ladders() {
		for _, r := range s.Reports {
			want := kern.Off
			switch {
			case s.Ladder.Signal == "kill" && r.Name == "fexit":
				want = kern.Used
			case s.Ladder.Signal == "memfd" && r.Name == "fexit":
				want = kern.Unavailable
			}
			if r.State != want || (r.State != kern.Used && r.Reason == "") {
				t.Errorf("%s: rung %s is %s: %q, want %s", s.Ladder.Signal, r.Name, r.State, r.Reason, want)
			}
		}
		if len(s.Reports) != len(s.Ladder.Rungs) || (s.Rung != nil) != (s.Ladder.Signal == "kill") {
			t.Errorf("%s has %d reports of %d rungs", s.Ladder.Signal, len(s.Reports), len(s.Ladder.Rungs))
		}
	}
}

// TestHostSetWhileShed: what is wanted by a reload while the sensor is shed shows as shed, and
// what is not wanted any more as off.
func TestHostSetWhileShed(t *testing.T) {
	w := newHostWatch(nil, nil)
	w.shed = "over the budget"
	kill := host.Ladders()[slices.Index(host.Groups(), "kill")]
	w.have["kill"] = shedSignals([]kern.Ladder{kill}, w.shed)[0]
	if err := w.set([]string{"mount"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.ladders() {
		if want := s.Ladder.Signal == "mount"; isShed(s) != want {
			t.Errorf("%s: shed %v, want %v: %v", s.Ladder.Signal, !want, want, s.Reports)
		}
	}
}
