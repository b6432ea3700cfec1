// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"fmt"
	"maps"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/compile"
)

// watchName is what the place of a watchpoint is called whose address a program has found.
func watchName(address uint64) string { return fmt.Sprintf("the watchpoint at %#x", address) }

// watched is an address of a process.
type watched struct {
	program, pid int
	address      uint64
}

// release lets processes go on that still wait for a watchpoint when the script is at its end.
func (s *Session) release() {
	for _, a := range s.script.Actions {
		if a.Kind == bt.Watch && s.ring != nil {
			s.exited = true
			s.ring.Pass(s.record)
			return
		}
	}
}

// watch attaches a watchpoint to the address that a record tells, and lets the process go on
// that waits for it. The same address is watched once.
func (s *Session) watch(action *bt.Action, data []byte) {
	w := watched{int(s.word(action, 0, data)), int(s.word(action, 2, data)), uint64(s.word(action, 1, data))}
	if w.program < 0 || w.program >= len(s.script.Probes) || w.pid <= 0 {
		return
	}
	probe := s.script.Probes[w.program]
	if probe.Kind == bt.Watchpoint {
		defer func() { _ = unix.Kill(w.pid, unix.SIGCONT) }() // it may be gone
	}
	if s.watched[w] || s.exited {
		return
	}
	place, err := s.host.Place(probe.Kind, probe.Targets[0])
	if err == nil {
		place.Name, place.Address, place.PID, place.Later = watchName(w.address), w.address, w.pid, false
		err = s.group.AttachPlace(w.program, place)
	}
	if err == nil {
		if s.watched == nil {
			s.watched = map[watched]bool{}
		}
		s.watched[w] = true
		return
	}
	failure := Output{Kind: Failure, Text: err.Error(), Pos: action.Pos}
	if errors.Is(err, unix.ENOSPC) {
		failure.Pos = compile.Pos{} // it is about the machine
		failure.Reference = "Failed to attach watchpoint probe. You are out of watchpoint registers."
	}
	s.say(failure)
}

// unwatch takes the watchpoints off an address, which may be watched again.
func (s *Session) unwatch(action *bt.Action, data []byte) {
	address := uint64(s.word(action, 0, data))
	maps.DeleteFunc(s.watched, func(w watched, _ bool) bool { return w.address == address })
	if err := s.group.DetachPlace(watchName(address)); err != nil {
		s.say(Output{Kind: Failure, Text: err.Error(), Pos: action.Pos})
	}
}
