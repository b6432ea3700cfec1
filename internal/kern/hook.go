// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/internal/kern/executable"
)

// Hook is a kind of place that a program of a group is attached to.
type Hook uint8

// The hooks.
const (
	// OnDemand runs when [Group.Run] is called.
	OnDemand Hook = iota
	// Every runs on one CPU each Period nanoseconds.
	Every
	// Clock runs on every CPU each Period nanoseconds.
	Clock
	Tracepoint
	RawTracepoint // by BTF
	Kprobe
	Kretprobe
	Uprobe
	Uretprobe
	Fentry
	Fexit
	Iterator
	SoftwareEvent
	HardwareEvent
	Breakpoint
)

// Place is where a program of a group is attached. Which fields mean something depends on
// its hook.
type Place struct {
	// Name is how whoever asked for it calls it, for errors.
	Name string
	// Category of a tracepoint; Event of any kind that has events.
	Category, Event string
	// Function and Module of the kernel. Offset from the function in bytes; from the
	// beginning of the file Path for probes of programs.
	Function, Module string
	Path             string
	// File is what Path led to when Offset was found in it; zero is any file.
	File   executable.Identity
	Offset uint64
	// Counter is where in the file Path the counter is that tells the program that a probe
	// is in use, 0 if there is none.
	Counter uint64
	// Period of Every and Clock in nanoseconds; of events the number that makes one sample.
	Period uint64
	// Address and Length in bytes of what a Breakpoint watches, and which accesses: any of r, w, x.
	Address, Length uint64
	Access          string
	// Later tells that Attach leaves the place out: AttachPlace attaches to one like it when
	// more is known.
	Later bool
	// PID limits events, breakpoints and probes of programs to a process; 0 is none.
	PID int
	// Cookie is what the program reads by the helper get_attach_cookie. It is attached
	// without where the kernel has none, unless NeedsCookie.
	Cookie      uint64
	NeedsCookie bool
}

func (h Hook) programType() ebpf.ProgramType {
	switch h {
	case OnDemand:
		// The only type that BPF_PROG_TEST_RUN runs where it is called, without a packet (5.10).
		return ebpf.RawTracepoint
	case Tracepoint:
		return ebpf.TracePoint
	case RawTracepoint, Fentry, Fexit, Iterator:
		return ebpf.Tracing
	case Kprobe, Kretprobe, Uprobe, Uretprobe:
		return ebpf.Kprobe
	}
	return ebpf.PerfEvent
}

// placedByLoading tells whether a program's place is fixed when it is loaded.
func (h Hook) placedByLoading() bool { return h.programType() == ebpf.Tracing }

func (h Hook) attachType() ebpf.AttachType {
	switch h {
	case RawTracepoint:
		return ebpf.AttachTraceRawTp
	case Fentry:
		return ebpf.AttachTraceFEntry
	case Fexit:
		return ebpf.AttachTraceFExit
	case Iterator:
		return ebpf.AttachTraceIter
	}
	return ebpf.AttachNone
}

// multi is the attach type of one link for many places, if there is one.
func (h Hook) multi() ebpf.AttachType {
	switch h {
	case Kprobe, Kretprobe:
		return ebpf.AttachTraceKprobeMulti
	case Uprobe, Uretprobe:
		return ebpf.AttachTraceUprobeMulti
	}
	return ebpf.AttachNone
}

func (p Place) attachTo(h Hook) string {
	if h == Fentry || h == Fexit {
		return p.Function
	}
	return p.Event
}
