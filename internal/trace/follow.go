// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"strings"
	"time"

	"github.com/skep-io/skep/internal/bt"
)

// idle tells whether nothing is there that could still run: a script of begin probes and
// iterators is done with them, as in bpftrace from 0.24 on. One that has no iterators waits for
// the command that was started with it.
func (s *Session) idle() bool {
	iterators := false
	for _, p := range s.script.Probes {
		switch p.Kind {
		case bt.Iterator:
			iterators = true
		case bt.Begin, bt.End:
		default:
			return false
		}
	}
	return iterators || !s.options.Command
}

// lossEvery is how often losses are looked for.
const lossEvery = time.Second

// follow reads the ring until the script is to end, and says why. One that says exit() stays
// attached until the commands that it gave are done, as they may look at its probes; but not
// if it is asked to end meanwhile.
func (s *Session) follow(ctx context.Context, end <-chan string) (reason string, err error) {
	if s.ring == nil {
		return "done", nil
	}
	reason, err = s.listen(ctx, end, func() bool { return s.exited || s.idle() })
	if err != nil {
		return "", err
	}
	s.ring.Pass(s.record) // an exit() from before the reason
	if !s.exited {
		return reason, nil
	}
	if s.commanded && s.options.Confirms {
		err = s.confirm(ctx, end, reason == "done")
	}
	return "exit", err
}

// lastCommands is how long commands may take that are done while the script is asked to end: less
// than an agent that stops gives its scripts.
const lastCommands = 500 * time.Millisecond

// confirm waits until the commands that the script gave are done, or until it is asked to end. If
// that was done before exit() was heard of, as by the end of a command that went with it, the wait
// is short.
func (s *Session) confirm(ctx context.Context, end <-chan string, patient bool) error {
	s.confirming = true
	s.say(Output{Kind: Confirm})
	s.flush()
	since := time.Now()
	_, err := s.listen(ctx, end, func() bool { return !patient && time.Since(since) > lastCommands })
	return err
}

// listen reads the ring until there is a reason to stop, "done" if that is done's.
func (s *Session) listen(ctx context.Context, end <-chan string, done func() bool) (reason string, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	why := make(chan string, 1)
	go func() {
		why <- s.await(reading, end)
		stop()
	}()
	looked := time.Now()
	err = s.ring.Run(reading, s.record, func() {
		if time.Since(looked) >= lossEvery {
			looked = time.Now()
			s.tellLosses()
			s.followCPUs()
		}
		s.flush()
		if done() {
			stop()
		}
	})
	stop()
	reason = <-why
	switch {
	case err == nil && reason == "" && ctx.Err() != nil:
		err = context.Cause(ctx)
	case reason == "":
		reason = "done"
	}
	return reason, err
}

// await waits for a reason to stop, and does what is none; "" when ctx ends.
func (s *Session) await(ctx context.Context, end <-chan string) string {
	for {
		select {
		case r := <-end:
			name, signal := strings.CutPrefix(r, SignalReason)
			switch {
			case signal:
				s.Signal(name)
			case r != ConfirmedReason || s.confirming:
				return r
			}
		case <-ctx.Done():
			return ""
		}
	}
}
