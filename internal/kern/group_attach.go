// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachment is a program at one place, or at all those of one link.
type attachment struct {
	number  int // of the program in the spec
	names   []string
	closers []io.Closer
	// events are perf events whose programs are in links, which are among the closers.
	events []descriptor
	iter   *link.Iter
	follow *followed // nil for what is not on CPUs
}

// close undoes what was done, last first.
func (a *attachment) close() error {
	var errs []error
	for _, c := range slices.Backward(a.closers) {
		errs = append(errs, c.Close())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Unattached is a place that one of several programs could not be attached to.
type Unattached struct {
	Program int // number in the spec
	Place   string
	Err     error
}

// step is one action of the plan that [Group.Attach] carries out.
type step struct {
	number int
	unit   *loaded
	places []Place // one, or all those of a link
}

// plan lists what to attach, in the order of the spec; at one place of a file the kernel runs
// the newest first, so that there it is the other way around. What runs on demand only is not.
func (g *Group) plan() []step {
	var forward, backward []step
	for i, units := range g.programs {
		switch g.spec.Programs[i].Hook {
		case OnDemand:
		case Uprobe, Uretprobe:
			backward = append(stepsOf(i, units), backward...)
		default:
			forward = append(forward, stepsOf(i, units)...)
		}
	}
	return append(forward, backward...)
}

func stepsOf(number int, units []*loaded) []step {
	var steps []step
	for _, u := range units {
		if u.multi {
			steps = append(steps, perFile(number, u)...)
			continue
		}
		for _, place := range u.places {
			if !place.Later {
				steps = append(steps, step{number, u, []Place{place}})
			}
		}
	}
	return steps
}

// perFile splits the places of a link by file and process, of which a link has one.
func perFile(number int, u *loaded) []step {
	type file struct {
		path string
		pid  int
	}
	var order []file
	places := map[file][]Place{}
	for _, p := range u.places {
		f := file{p.Path, p.PID}
		if places[f] == nil {
			order = append(order, f)
		}
		places[f] = append(places[f], p)
	}
	var steps []step
	for _, f := range order {
		steps = append(steps, step{number, u, places[f]})
	}
	return steps
}

// Attach attaches every program to its places. Of a program with several places those that
// the kernel refuses are skipped and returned, unless it refuses them all: then, as on any
// other failure, everything that was attached is detached again. So it is where the agent has
// no descriptors or memory left, which it needs for others.
func (g *Group) Attach() ([]Unattached, error) {
	skipped, err := g.attachAll()
	if err != nil {
		return nil, errors.Join(err, g.Detach())
	}
	return skipped, nil
}

func (g *Group) attachAll() ([]Unattached, error) {
	var skipped []Unattached
	worked := map[int]bool{}
	defer lingering.hold()()
	defer g.closeTracefs()
	for _, s := range g.plan() {
		a, failed := g.attach(s)
		if a != nil {
			worked[s.number] = true
			g.mutex.Lock()
			g.attached = append(g.attached, a)
			g.mutex.Unlock()
		}
		for _, f := range failed {
			if exhausted(f.Err) {
				return nil, fmt.Errorf("attach %s: %w", f.Place, f.Err)
			}
		}
		skipped = append(skipped, failed...)
	}
	for _, s := range skipped {
		if !worked[s.Program] {
			return nil, fmt.Errorf("attach %s: %w", s.Place, s.Err)
		}
	}
	return skipped, nil
}

// exhausted tells an error that is the agent's and not the place's.
func exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// attach carries out a step. It returns nil instead of an attachment to nothing.
func (g *Group) attach(s step) (*attachment, []Unattached) {
	a := &attachment{number: s.number}
	var failed []Unattached
	switch hook := g.spec.Programs[s.number].Hook; hook {
	case Kprobe, Kretprobe:
		failed = g.attachMany(a, s, functionLinks(hook))
	case Uprobe, Uretprobe:
		failed = g.attachInFile(a, hook, s)
	default:
		if err := g.attachOne(a, hook, s); err != nil {
			failed = s.failed(err)
		} else {
			a.names = []string{s.places[0].Name}
		}
	}
	if len(a.names) > 0 {
		return a, failed
	}
	if err := a.close(); err != nil {
		failed = s.failed(errors.Join(failed[0].Err, err))
	}
	lingering.close(a.events)
	return nil, failed
}

func (s step) failed(err error) (all []Unattached) {
	for _, p := range s.places {
		all = append(all, Unattached{s.number, p.Name, err})
	}
	return all
}

func (g *Group) attachOne(a *attachment, hook Hook, s step) error {
	program, place := s.unit.program, s.places[0]
	switch hook {
	case Every, Clock, SoftwareEvent, HardwareEvent, Breakpoint, Tracepoint:
		return g.attachEvents(a, hook, program, place)
	case RawTracepoint, Fentry, Fexit:
		return a.keep(withCookie(place, func(cookie uint64) (link.Link, error) {
			return link.AttachTracing(link.TracingOptions{Program: program, Cookie: cookie})
		}))
	case Iterator:
		iter, err := link.AttachIter(link.IterOptions{Program: program})
		if err != nil {
			return err
		}
		a.iter, a.closers = iter, append(a.closers, iter)
		return nil
	}
	return errors.ErrUnsupported
}

func (a *attachment) keep(l link.Link, err error) error {
	if err == nil {
		a.closers = append(a.closers, l)
	}
	return err
}

// Run runs a program that was loaded [OnDemand], by its number in the spec, in this thread.
func (g *Group) Run(number int) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if number >= len(g.programs) || len(g.programs[number]) == 0 || g.spec.Programs[number].Hook != OnDemand {
		return fmt.Errorf("run program %d: %w", number, os.ErrInvalid)
	}
	if _, err := g.programs[number][0].program.Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("run program %s: %w", g.spec.Programs[number].Name, err)
	}
	return nil
}

// Iterate runs an [Iterator], by its number in the spec, over all that there is, and
// returns what it has written with the helper seq_write, at most maxIterated bytes of it.
func (g *Group) Iterate(number int) ([]byte, error) {
	g.mutex.Lock()
	attached := slices.Clone(g.attached)
	g.mutex.Unlock()
	var out []byte
	for _, a := range attached {
		if a.number != number || a.iter == nil {
			continue
		}
		in, err := a.iter.Open()
		if err != nil {
			return nil, fmt.Errorf("iterate %s: %w", a.names[0], err)
		}
		text, err := io.ReadAll(io.LimitReader(in, maxIterated))
		in.Close()
		if err != nil {
			return nil, fmt.Errorf("iterate %s: %w", a.names[0], err)
		}
		out = append(out, text...)
	}
	return out, nil
}

const maxIterated = 64 << 20

// Attached lists the places that a program, by its number in the spec, is attached to.
func (g *Group) Attached(number int) []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	var names []string
	for _, a := range g.attached {
		if a.number == number {
			names = append(names, a.names...)
		}
	}
	return names
}
