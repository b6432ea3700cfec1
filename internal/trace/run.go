// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern"
)

// Sink takes what a script says, in order, from one goroutine. An error ends the script.
type Sink func([]Output) error

// Result is how a script ended.
type Result struct {
	// Code is the argument of exit(), else 0.
	Code int
	// Reason is "exit", "done" if nothing was left to run, or what was sent to end.
	Reason string
}

// SignalReason begins what is no reason to end: the name of a signal follows, whose probes
// (self:signal:NAME) are to run.
const SignalReason = "signal:"

// ConfirmedReason is no reason to end either: what was said before a [Confirm] is done.
const ConfirmedReason = "confirmed"

// Run attaches the script and hands what it says to sink until it ends: by exit(), by a
// reason from end (but see [SignalReason] and [ConfirmedReason]), or because nothing is left to run. Then its end probes run, and its maps
// are handed on. If ctx ends nobody listens any more, and it just ends. It is called once.
func (s *Session) Run(ctx context.Context, end <-chan string, sink Sink) (result Result, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	delivered := make(chan error, 1)
	go func() {
		err := errors.New("hand on what the script says: its listener is gone")
		defer func() { // also if the sink ends its goroutine
			if err != nil {
				s.queue.fail()
				cancel(err)
			}
			delivered <- err
		}()
		err = s.deliver(sink)
	}()
	// Also if run panics: sink is not called any more once this returns.
	defer func() {
		s.queue.close()
		if failed := <-delivered; err == nil {
			err = failed
		}
	}()
	return s.run(ctx, end)
}

// deliver hands on what is said. A sink that panics ends its script, and nothing else: it is
// not on the goroutine of who called Run.
func (s *Session) deliver(sink Sink) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("hand on what the script says: %v", fault)
		}
	}()
	return s.queue.deliver(sink)
}

func (s *Session) run(ctx context.Context, end <-chan string) (Result, error) {
	if err := s.begin(); err != nil {
		s.group.Detach()
		return Result{}, err
	}
	reason, err := s.follow(ctx, end)
	if err != nil {
		s.group.Detach()
		return Result{}, err
	}
	return s.finish(reason)
}

// begin attaches, and runs the begin probes before anything else can.
func (s *Session) begin() error {
	if err := s.setStart(); err != nil {
		return err
	}
	if err := s.runAll(bt.Begin); err != nil {
		return err
	}
	skipped, err := s.group.Attach()
	if err != nil {
		return err
	}
	s.say(Output{Kind: Attached, Count: uint64(s.attached())})
	for _, one := range skipped {
		s.say(Output{Kind: Failure, Probe: one.Place, Pos: s.script.Probes[one.Program].Pos, Text: "not attached: " + one.Err.Error()})
	}
	s.flush()
	for i, p := range s.script.Probes {
		if p.Kind != bt.Iterator {
			continue
		}
		if _, err := s.group.Iterate(i); err != nil {
			return err
		}
	}
	return nil
}

// attached counts the places of all probes, those that run on demand too.
func (s *Session) attached() int {
	n := 0
	for i, p := range s.script.Probes {
		if host := len(s.group.Attached(i)); host > 0 {
			n += host
		} else if p.Kind <= bt.Self {
			n += len(p.Targets)
		}
	}
	return n
}

// runAll runs the probes of a kind that runs on demand.
func (s *Session) runAll(kind bt.ProbeKind) error {
	for i, p := range s.script.Probes {
		if p.Kind != kind {
			continue
		}
		if err := s.group.Run(i); err != nil {
			return fmt.Errorf("line %d: %w", p.Pos.Line, err)
		}
	}
	return nil
}

// Signal runs the probes self:signal:NAME of a signal that the client has got, and tells
// whether there are any. It may be called while Run runs.
func (s *Session) Signal(name string) bool {
	name = strings.TrimPrefix(name, "SIG")
	found := false
	for i, p := range s.script.Probes {
		if p.Kind == bt.Self && strings.TrimPrefix(p.Targets[0].Event, "SIG") == name {
			found = s.group.Run(i) == nil || found
		}
	}
	return found
}

// followCPUs goes to CPUs that have come.
func (s *Session) followCPUs() {
	if err := s.group.FollowCPUs(); err != nil {
		s.say(Output{Kind: Failure, Text: "not on all CPUs: " + err.Error()})
	}
}

// finish detaches, runs the end probes, and tells what is in the maps.
func (s *Session) finish(reason string) (Result, error) {
	if err := s.group.Detach(); err != nil {
		return Result{}, err
	}
	if s.ring != nil {
		s.ring.Pass(s.record) // also of another CPU's exit(), which must not end the end probes
	}
	s.exited = false
	if err := s.runAll(bt.End); err != nil {
		return Result{}, err
	}
	if s.ring != nil {
		s.ring.Pass(s.record)
	}
	if s.script.Limits.PrintAtExit {
		for _, m := range s.userMaps() {
			s.dump(m, &bt.Action{}, 0, 0, true)
			s.flush() // one at a time: together they may be large
		}
	}
	s.tellLosses()
	s.say(Output{Kind: Exit, Code: s.code})
	s.flush()
	return Result{Code: s.code, Reason: reason}, nil
}

// userMaps are the script's own, by name.
func (s *Session) userMaps() []*bt.Map {
	var out []*bt.Map
	for i := range s.script.Maps {
		if s.script.Maps[i].User {
			out = append(out, &s.script.Maps[i])
		}
	}
	slices.SortFunc(out, func(a, b *bt.Map) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// tellLosses tells what was lost since it was last told.
func (s *Session) tellLosses() {
	s.tellCounters("loss", s.lost, InRing)
	s.tellCounters("full", s.full, InMap)
	for i, units := range s.group.Stats() {
		s.tellLoss(s.missed, i, Missed, missedOf(units))
	}
	if n := s.rate.take(); n > 0 {
		s.say(Output{Kind: Loss, Place: ByRate, Count: n})
	}
}

// tellCounters reads a map that has a word for each probe; a script that cannot lose there
// has none.
func (s *Session) tellCounters(name string, told map[int]uint64, place Place) {
	if m := s.maps[name]; m == nil || m.User {
		return
	}
	values, err := s.group.Lookup(name, make([]byte, 4))
	if err != nil || len(values) != 1 {
		return
	}
	for i := 0; 8*i+8 <= len(values[0]) && i < len(s.script.Probes); i++ {
		s.tellLoss(told, i, place, binary.NativeEndian.Uint64(values[0][8*i:]))
	}
}

func missedOf(units []kern.ProgramStats) (n uint64) {
	for _, u := range units {
		n += u.Missed
	}
	return n
}

func (s *Session) tellLoss(told map[int]uint64, probe int, place Place, total uint64) {
	if n := total - told[probe]; n > 0 && total > told[probe] {
		told[probe] = total
		s.say(Output{Kind: Loss, Probe: s.script.Probes[probe].Targets[0].Name, Place: place, Count: n, Pos: s.script.Probes[probe].Pos})
	}
}
