// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/compile"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/trace/host"
)

// Options bound what a script may say. Those that are 0 are [DefaultOptions]'.
type Options struct {
	// PerSecond is how many outputs a second reach the listener.
	PerSecond int
	// Queue is how many outputs wait for a slow listener, and QueueBytes what they take, about.
	Queue, QueueBytes int
	// MapBytes is what the maps of a script take together in the kernel, and MapEntries what
	// one of them has.
	MapBytes, MapEntries int
	// Identity names processes and containers; nil where nobody does.
	Identity Identity
	// Confirms: the listener answers a Confirm. A script that says exit() stays attached until
	// the commands that it gave before are done.
	Confirms bool
	// Command: a command was started with the script, which says when it has ended.
	Command bool
	// Shared are maps that are not the script's own, by name.
	Shared map[string]*kern.SharedMap
}

// DefaultOptions are enough for a terminal and for a program that reads it.
func DefaultOptions() Options {
	return Options{PerSecond: 100_000, Queue: 65_536, QueueBytes: 32 << 20, MapBytes: 512 << 20, MapEntries: 1 << 20}
}

func (o Options) filled() Options {
	usual := DefaultOptions()
	for _, one := range []struct {
		to    *int
		usual int
	}{
		{&o.PerSecond, usual.PerSecond}, {&o.Queue, usual.Queue}, {&o.QueueBytes, usual.QueueBytes},
		{&o.MapBytes, usual.MapBytes}, {&o.MapEntries, usual.MapEntries},
	} {
		if *one.to == 0 {
			*one.to = one.usual
		}
	}
	return o
}

// Session is a script that was loaded.
type Session struct {
	*decoder
	codes   []*compile.Code
	options Options
	ring    *kern.GroupRing
	formats []([]render.Directive) // of actions
	queue   *queue
	rate    *rate

	reading sync.Mutex // by Held, of the three below
	reader  *decoder   // Held's own
	closed  bool

	lost   map[int]uint64 // as last told, by probe
	full   map[int]uint64
	missed map[int]uint64
	exited bool
	// commanded: the listener was given commands; confirming: and asked whether they are done.
	commanded, confirming bool
	code                  int
	batch                 []Output
	watched               map[watched]bool
}

// Rejected is a program that the verifier does not take: a fault of the compiler, at the
// place in the script that the instruction comes from.
type Rejected struct {
	Pos     compile.Pos
	Verdict string
	// GaveUp tells that it is the script's: the verifier looked as long as it could.
	GaveUp bool
	// NotHere tells that it is the script's: the kernel has a function for some places of this kind of probe only (path()).
	NotHere bool
	Log     []string
	Cause   error
}

func (r *Rejected) Error() string { return fmt.Sprintf("line %d: %s", r.Pos.Line, r.Reason()) }

// Reason is the error without the line.
func (r *Rejected) Reason() string {
	what := "the kernel does not take this program, which is a fault of skep and not of the script: "
	switch {
	case r.GaveUp:
		what = "the kernel gives up on this program: does a loop run too often, or not end? Shorter loops help, and for ($i : 0..n) in place of while: "
	case r.NotHere:
		what = "the kernel does not allow this function at this probe, but at others of its kind: "
	}
	return what + r.Verdict
}

// Unwrap is what the kernel said.
func (r *Rejected) Unwrap() error { return r.Cause }

// Start compiles the programs of a script and loads them. Nothing is attached. A program
// that the verifier refuses is a [*Rejected].
func Start(h *host.Host, script *bt.Script, options Options) (*Session, error) {
	codes, err := compileAll(script, h.Machine())
	if err != nil {
		return nil, err
	}
	return Load(h, script, codes, options)
}

// CompileOptions is what the compiler may use on a machine.
func CompileOptions(machine bt.Machine) compile.Options {
	if machine.CPUv4 {
		return compile.Options{CPU: 4}
	}
	return compile.Options{CPU: 3}
}

func compileAll(script *bt.Script, machine bt.Machine) ([]*compile.Code, error) {
	options := CompileOptions(machine)
	codes := make([]*compile.Code, len(script.Probes))
	for i, p := range script.Probes {
		code, err := compile.Compile(p.Program, options)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.Pos.Line, err)
		}
		codes[i] = code
	}
	return codes, nil
}

// Load is [Start] with programs that are compiled already, in the order of the script's probes.
func Load(h *host.Host, script *bt.Script, codes []*compile.Code, options Options) (*Session, error) {
	options = options.filled()
	if err := checkMaps(script, options); err != nil {
		return nil, err
	}
	s := &Session{
		decoder: &decoder{script: script, host: h, names: newNames(h, options.Identity), maps: map[string]*bt.Map{}, taken: &taken{of: map[string]map[string][][]byte{}}},
		codes:   codes, options: options,
		queue: newQueue(options.Queue, options.QueueBytes), rate: &rate{perSecond: options.PerSecond},
		lost: map[int]uint64{}, full: map[int]uint64{}, missed: map[int]uint64{},
	}
	for _, a := range script.Actions {
		s.formats = append(s.formats, render.ParseFormat(a.Format))
	}
	for i := range script.Maps {
		s.maps[script.Maps[i].Name] = &script.Maps[i]
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if err := s.openRing(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Session) openRing() (err error) {
	for _, m := range s.script.Maps {
		if m.Kind == bt.Ring {
			s.ring, err = s.group.Ring(m.Name)
			return err
		}
	}
	return nil
}

// Close lets go of everything, also if Run was never called.
func (s *Session) Close() error {
	s.reading.Lock()
	s.closed = true
	s.reading.Unlock()
	var err error
	s.release()
	if s.ring != nil {
		err = s.ring.Close()
	}
	return errors.Join(err, s.group.Close())
}

// Stats are the kernel's run-time statistics of the script's programs, by probe.
func (s *Session) Stats() map[int][]kern.ProgramStats { return s.group.Stats() }

// bootTime is the clock CLOCK_BOOTTIME.
func bootTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// setStart tells the programs when the script began.
func (s *Session) setStart() error {
	if s.maps["start"] == nil || s.maps["start"].User {
		return nil
	}
	return s.group.Set("start", make([]byte, 4), binary.NativeEndian.AppendUint64(nil, uint64(bootTime())))
}
