// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/skep-io/skep/internal/kern/executable"
)

// links are the ways to attach to functions: to many by one link (kprobes: 5.18, uprobes:
// 6.6), or to one by a perf event.
type links struct {
	many func(program *ebpf.Program, places []Place) (link.Link, error)
	one  func(program *ebpf.Program, place Place, cookie uint64) (link.Link, error)
}

// attachMany attaches to all places of a step. What one place lacks is not the loss of the
// others: a link for many that the kernel refuses is tried for each half, and for one place
// the other way is tried too.
func (g *Group) attachMany(a *attachment, s step, by links) []Unattached {
	if s.unit.multi {
		err := a.keep(by.many(s.unit.program, s.places))
		switch {
		case err == nil:
			for _, p := range s.places {
				a.names = append(a.names, p.Name)
			}
			return nil
		case exhausted(err):
			return s.failed(err)
		case len(s.places) > 1 && !errors.Is(err, ebpf.ErrNotSupported):
			half := len(s.places) / 2
			first, second := s, s
			first.places, second.places = s.places[:half], s.places[half:]
			failed := g.attachMany(a, first, by)
			return append(failed, g.attachMany(a, second, by)...)
		}
	}
	var failed []Unattached
	for _, p := range s.places {
		if err := g.attachAlone(a, s, p, by); err != nil {
			failed = append(failed, Unattached{s.number, p.Name, err})
			continue
		}
		a.names = append(a.names, p.Name)
	}
	return failed
}

// attachAlone attaches to one place by a perf event, and where the host forbids that (lockdown)
// or the kernel has none, by a link for many.
func (g *Group) attachAlone(a *attachment, s step, p Place, by links) error {
	program, err := g.way(s.number, s.unit, false)
	if err != nil {
		return err
	}
	err = a.keep(withCookie(p, func(cookie uint64) (link.Link, error) { return by.one(program, p, cookie) }))
	if err == nil || s.unit.multi || exhausted(err) || p.Function != "" && p.Offset != 0 {
		return err
	}
	program, other := g.way(s.number, s.unit, true)
	if other == nil {
		other = a.keep(by.many(program, []Place{p}))
	}
	if other == nil {
		return nil
	}
	return err
}

// withCookie attaches with the cookie and, where the kernel has none and none is needed, without.
func withCookie(place Place, attach func(cookie uint64) (link.Link, error)) (link.Link, error) {
	l, err := attach(place.Cookie)
	if err != nil && place.Cookie != 0 && !place.NeedsCookie && errors.Is(err, ebpf.ErrNotSupported) {
		return attach(0)
	}
	return l, err
}

func functionLinks(hook Hook) links {
	attachMany, attachOne := link.KprobeMulti, link.Kprobe
	if hook == Kretprobe {
		attachMany, attachOne = link.KretprobeMulti, link.Kretprobe
	}
	return links{
		many: func(program *ebpf.Program, places []Place) (link.Link, error) {
			options := link.KprobeMultiOptions{}
			for _, p := range places {
				options.Symbols = append(options.Symbols, p.Function)
				options.Cookies = append(options.Cookies, p.Cookie)
			}
			return attachMany(program, options)
		},
		one: func(program *ebpf.Program, p Place, cookie uint64) (link.Link, error) {
			l, err := attachOne(p.Function, program, &link.KprobeOptions{Offset: p.Offset, Cookie: cookie})
			if err != nil && p.Offset > 0 {
				return nil, fmt.Errorf("%d bytes into %s is no instruction that can be probed: in the middle of one, behind the end, or the kernel refuses it: %w", p.Offset, p.Function, err)
			}
			return l, err
		},
	}
}

// attachInFile attaches to places of one file: that which their offsets are of, and no other
// that has come in its place. A breakpoint in the middle of an instruction would kill whoever
// runs the file.
func (g *Group) attachInFile(a *attachment, hook Hook, s step) []Unattached {
	pinned, err := executable.PinSame(s.places[0].Path, s.places[0].File)
	if err != nil {
		return s.failed(err)
	}
	defer pinned.Close()
	file, err := link.OpenExecutable(executable.PathOf(pinned))
	if err != nil {
		return s.failed(err)
	}
	return g.attachMany(a, s, fileLinks(file, hook))
}

func fileLinks(file *link.Executable, hook Hook) links {
	attachMany, attachOne := file.UprobeMulti, file.Uprobe
	if hook == Uretprobe {
		attachMany, attachOne = file.UretprobeMulti, file.Uretprobe
	}
	return links{
		many: func(program *ebpf.Program, places []Place) (link.Link, error) {
			options := &link.UprobeMultiOptions{PID: uint32(places[0].PID)}
			for _, p := range places {
				options.Addresses = append(options.Addresses, p.Offset)
				options.Cookies = append(options.Cookies, p.Cookie)
				options.RefCtrOffsets = append(options.RefCtrOffsets, p.Counter)
			}
			if !slices.ContainsFunc(places, func(p Place) bool { return p.Counter != 0 }) {
				options.RefCtrOffsets = nil
			}
			return attachMany(nil, program, options)
		},
		one: func(program *ebpf.Program, p Place, cookie uint64) (link.Link, error) {
			return attachOne("", program, &link.UprobeOptions{Address: p.Offset, PID: p.PID, RefCtrOffset: p.Counter, Cookie: cookie})
		},
	}
}
