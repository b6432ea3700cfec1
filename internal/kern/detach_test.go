// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
)

// heldLink is one whose close waits.
type heldLink struct {
	link.Link
	closing, release chan struct{}
}

func (l heldLink) Close() error {
	close(l.closing)
	<-l.release
	return l.Link.Close()
}

// TestDetachHoldsNobodyUp: while the kernel takes its time to detach programs, the others are
// there to be looked at, as the reader of the rings does each second.
func TestDetachHoldsNobodyUp(t *testing.T) {
	s := ladderOf(true, "good: fork_btf")
	k := openPrivate(t, s, nil)
	other := s
	other.Ladders = []Ladder{{Signal: "other", Intent: See, Rungs: []Rung{{Name: "good", Programs: []string{"exec_btf"}}}}}
	for _, one := range []Sensor{s, other} {
		if _, err := k.Attach(one); err != nil {
			t.Fatal(err)
		}
	}
	held := heldLink{k.programs[0].link, make(chan struct{}), make(chan struct{})}
	k.programs[0].link = held
	detached := make(chan struct{})
	go func() { defer close(detached); k.Detach(s) }()
	<-held.closing
	looked := make(chan []ProgramStats, 1)
	go func() { looked <- k.Stats() }()
	select {
	case all := <-looked:
		if len(all) != 1 || all[0].Name != "exec_btf" {
			t.Errorf("meanwhile there are %v", all)
		}
	case <-time.After(10 * time.Second):
		t.Error("who looks waits")
	}
	close(held.release)
	<-detached
}

// TestAttachedAgain: a sensor that comes back, however often, leaves nothing behind in the
// kernel side that was taken over, and nothing of it is taken away by what came before.
func TestAttachedAgain(t *testing.T) {
	root := pinRoot(t)
	s := ladderOf(true, "good: fork_btf", "lower: exit_btf")
	k := openPinned(t, root, s)
	attachOne(t, k, s)
	k.Close()

	k = openPinned(t, root, s)
	attachOne(t, k, s)
	if err := k.Settle(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		k.Detach(s)
		attachOne(t, k, s)
	}
	if len(k.outdated) > 0 {
		t.Errorf("noted to be taken away: %v", k.outdated)
	}
	if n := len(k.Stats()); !k.Adopted() || n != 1 {
		t.Errorf("adopted %v, %d programs", k.Adopted(), n)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
}

// TestRefusalIsForgotten: that programs may not patch the kernel's text is asked again when a
// sensor is attached after the start.
func TestRefusalIsForgotten(t *testing.T) {
	needRoot(t)
	const before = "refused before"
	s := Sensor{Name: "unix", Ladders: []Ladder{{Signal: "test", Intent: See, Rungs: []Rung{{Name: "fexit", Programs: []string{"connect_exit"}}}}}}
	k, err := Open(Options{Logger: slog.New(slog.DiscardHandler)}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	for _, settled := range []bool{false, true} {
		k.unpatched = errors.New(before)
		if settled {
			if err := k.Settle(); err != nil {
				t.Fatal(err)
			}
		}
		signals, err := k.Attach(s)
		if err != nil {
			t.Fatal(err)
		}
		remembered := slices.ContainsFunc(signals[0].Reports, func(r RungReport) bool { return strings.Contains(r.Reason, before) })
		if remembered == settled {
			t.Errorf("settled %v: %+v", settled, signals[0].Reports)
		}
	}
}
