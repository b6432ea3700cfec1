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

// atOnce is how many perf events are closed while somebody waits for it.
const atOnce = 8

// closeEvents closes perf events that no program is attached to any more. The kernel waits
// for all CPUs at each tracepoint's, some 50 ms, one after the other: what is many is done
// behind the back of who detaches.
func closeEvents(events []descriptor) {
	closeAll := func() {
		for _, e := range events {
			e.Close()
		}
	}
	if len(events) > atOnce {
		go closeAll()
		return
	}
	closeAll()
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
// other failure, everything that was attached is detached again.
func (g *Group) Attach() ([]Unattached, error) {
	var skipped []Unattached
	worked := map[int]bool{}
	defer g.closeTracefs()
	for _, s := range g.plan() {
		a, err := g.attach(s)
		if err != nil {
			skipped = append(skipped, Unattached{s.number, s.places[0].Name, err})
			continue
		}
		worked[s.number] = true
		g.mutex.Lock()
		g.attached = append(g.attached, a)
		g.mutex.Unlock()
	}
	for _, s := range skipped {
		if !worked[s.Program] {
			return nil, errors.Join(fmt.Errorf("attach %s: %w", s.Place, s.Err), g.Detach())
		}
	}
	return skipped, nil
}

func (g *Group) attach(s step) (*attachment, error) {
	a := &attachment{number: s.number}
	for _, p := range s.places {
		a.names = append(a.names, p.Name)
	}
	hook, program, place := g.spec.Programs[s.number].Hook, s.unit.program, s.places[0]
	var err error
	switch hook {
	case Every, Clock, SoftwareEvent, HardwareEvent, Breakpoint, Tracepoint:
		err = g.attachEvents(a, hook, program, place)
	case RawTracepoint, Fentry, Fexit:
		err = a.keep(withCookie(place, func(cookie uint64) (link.Link, error) {
			return link.AttachTracing(link.TracingOptions{Program: program, Cookie: cookie})
		}))
	case Kprobe, Kretprobe:
		err = attachKprobe(a, hook, s)
	case Uprobe, Uretprobe:
		err = attachUprobe(a, hook, s)
	case Iterator:
		a.iter, err = link.AttachIter(link.IterOptions{Program: program})
		if err == nil {
			a.closers = append(a.closers, a.iter)
		}
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		err = errors.Join(err, a.close())
		closeEvents(a.events)
		return nil, err
	}
	return a, nil
}

func (a *attachment) keep(l link.Link, err error) error {
	if err == nil {
		a.closers = append(a.closers, l)
	}
	return err
}

func attachKprobe(a *attachment, hook Hook, s step) error {
	if s.unit.multi {
		if err := a.keep(kprobeMulti(hook, s)); !lacksMulti(err) {
			return err
		}
	}
	return a.each(s.places, func(place Place, cookie uint64) (link.Link, error) {
		options := &link.KprobeOptions{Offset: place.Offset, Cookie: cookie}
		if hook == Kretprobe {
			return link.Kretprobe(place.Function, s.unit.program, options)
		}
		return link.Kprobe(place.Function, s.unit.program, options)
	})
}

func kprobeMulti(hook Hook, s step) (link.Link, error) {
	options := link.KprobeMultiOptions{}
	for _, p := range s.places {
		options.Symbols = append(options.Symbols, p.Function)
		options.Cookies = append(options.Cookies, p.Cookie)
	}
	if hook == Kretprobe {
		return link.KretprobeMulti(s.unit.program, options)
	}
	return link.KprobeMulti(s.unit.program, options)
}

// lacksMulti tells whether an attempt failed as it does where the kernel has no link for many
// places. It may have loaded the program all the same: before 5.18 (kprobes) and 6.6 (uprobes)
// it did not look at the type of attachment. Each place takes a link of its own then, and says
// better what is wrong with it.
func lacksMulti(err error) bool {
	return errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL)
}

// each attaches to one place after the other.
func (a *attachment) each(places []Place, attach func(place Place, cookie uint64) (link.Link, error)) error {
	for _, place := range places {
		if err := a.keep(withCookie(place, func(cookie uint64) (link.Link, error) { return attach(place, cookie) })); err != nil {
			return err
		}
	}
	return nil
}

// withCookie attaches with the cookie and, where the kernel has none and none is needed, without.
func withCookie(place Place, attach func(cookie uint64) (link.Link, error)) (link.Link, error) {
	l, err := attach(place.Cookie)
	if err != nil && place.Cookie != 0 && !place.NeedsCookie && errors.Is(err, ebpf.ErrNotSupported) {
		return attach(0)
	}
	return l, err
}

func attachUprobe(a *attachment, hook Hook, s step) error {
	file, err := link.OpenExecutable(s.places[0].Path)
	if err != nil {
		return err
	}
	if s.unit.multi {
		if err := a.keep(uprobeMulti(file, hook, s)); !lacksMulti(err) {
			return err
		}
	}
	return a.each(s.places, func(place Place, cookie uint64) (link.Link, error) {
		options := &link.UprobeOptions{Address: place.Offset, PID: place.PID, RefCtrOffset: place.Counter, Cookie: cookie}
		if hook == Uretprobe {
			return file.Uretprobe("", s.unit.program, options)
		}
		return file.Uprobe("", s.unit.program, options)
	})
}

func uprobeMulti(file *link.Executable, hook Hook, s step) (link.Link, error) {
	options := &link.UprobeMultiOptions{PID: uint32(s.places[0].PID)}
	counters := false
	for _, p := range s.places {
		options.Addresses = append(options.Addresses, p.Offset)
		options.Cookies = append(options.Cookies, p.Cookie)
		options.RefCtrOffsets = append(options.RefCtrOffsets, p.Counter)
		counters = counters || p.Counter != 0
	}
	if !counters {
		options.RefCtrOffsets = nil
	}
	if hook == Uretprobe {
		return file.UretprobeMulti(nil, s.unit.program, options)
	}
	return file.UprobeMulti(nil, s.unit.program, options)
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
