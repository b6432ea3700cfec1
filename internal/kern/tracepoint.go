// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern/tracefs"
)

// tracepoints attach one program to one or several tracepoints, each by a perf event, whose
// program runs on every CPU.
//
// Of system calls these are cheaper for all others than a program at the end of all of them:
// the kernel looks at one bit before it leaves. See [lingering] for what they cost to close.
type tracepoints struct {
	link.Link // the first of them
	more      []link.Link
	events    []descriptor
}

// attachTracepoints takes places as category/event.
func (k *Kernel) attachTracepoints(program *ebpf.Program, places []string) (link.Link, error) {
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	t := &tracepoints{}
	for _, place := range places {
		l, err := k.attachTracepoint(t, program, place, cpus[0])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", place, err), t.Close())
		}
		if t.Link == nil {
			t.Link = l
		} else {
			t.more = append(t.more, l)
		}
	}
	return t, nil
}

func (k *Kernel) attachTracepoint(t *tracepoints, program *ebpf.Program, place string, cpu int) (link.Link, error) {
	attr, err := eventOf(Tracepoint, Place{})
	if err != nil {
		return nil, err
	}
	if attr.Config, err = k.tracepointID(place); err != nil {
		return nil, err
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open perf event: %w", err)
	}
	t.events = append(t.events, descriptor(fd))
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: program, Attach: ebpf.AttachPerfEvent}) // 5.15
	if err != nil {
		return nil, fmt.Errorf("attach to perf event: %w", err)
	}
	return l, nil
}

// Pin is for a program at one tracepoint.
func (t *tracepoints) Pin(path string) error {
	if len(t.more) > 0 {
		return fmt.Errorf("pin links of %d tracepoints: %w", 1+len(t.more), ebpf.ErrNotSupported)
	}
	return t.Link.Pin(path)
}

// Close takes the program off at once, unless it is pinned. The events go behind the back of
// whoever waits.
func (t *tracepoints) Close() error {
	var errs []error
	if t.Link != nil {
		errs = append(errs, t.Link.Close())
	}
	for _, l := range t.more {
		errs = append(errs, l.Close())
	}
	lingering.later(t.events)
	t.events = nil
	return errors.Join(errs...)
}

// tracepointID asks the tracing filesystem, which is opened once for all of an Attach.
func (k *Kernel) tracepointID(place string) (id uint64, err error) {
	if k.tracefs == nil {
		if k.tracefs, err = tracefs.Open(); err != nil {
			return 0, err
		}
	}
	category, event, _ := strings.Cut(place, "/")
	return k.tracefs.ID(category, event)
}

func (k *Kernel) closeTracefs() {
	if k.tracefs != nil {
		k.tracefs.Close()
		k.tracefs = nil
	}
}
