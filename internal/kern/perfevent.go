// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern/tracefs"
)

// softwareEvents and hardwareEvents are the names that perf has for them.
var softwareEvents = map[string]uint64{
	"cpu-clock": unix.PERF_COUNT_SW_CPU_CLOCK, "cpu": unix.PERF_COUNT_SW_CPU_CLOCK,
	"task-clock": unix.PERF_COUNT_SW_TASK_CLOCK, "page-faults": unix.PERF_COUNT_SW_PAGE_FAULTS, "faults": unix.PERF_COUNT_SW_PAGE_FAULTS,
	"context-switches": unix.PERF_COUNT_SW_CONTEXT_SWITCHES, "cs": unix.PERF_COUNT_SW_CONTEXT_SWITCHES,
	"cpu-migrations": unix.PERF_COUNT_SW_CPU_MIGRATIONS, "minor-faults": unix.PERF_COUNT_SW_PAGE_FAULTS_MIN, "major-faults": unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ,
	"alignment-faults": unix.PERF_COUNT_SW_ALIGNMENT_FAULTS, "emulation-faults": unix.PERF_COUNT_SW_EMULATION_FAULTS,
	"dummy": unix.PERF_COUNT_SW_DUMMY, "bpf-output": unix.PERF_COUNT_SW_BPF_OUTPUT,
}

var hardwareEvents = map[string]uint64{
	"cpu-cycles": unix.PERF_COUNT_HW_CPU_CYCLES, "cycles": unix.PERF_COUNT_HW_CPU_CYCLES, "instructions": unix.PERF_COUNT_HW_INSTRUCTIONS,
	"cache-references": unix.PERF_COUNT_HW_CACHE_REFERENCES, "cache-misses": unix.PERF_COUNT_HW_CACHE_MISSES,
	"branch-instructions": unix.PERF_COUNT_HW_BRANCH_INSTRUCTIONS, "branches": unix.PERF_COUNT_HW_BRANCH_INSTRUCTIONS,
	"branch-misses": unix.PERF_COUNT_HW_BRANCH_MISSES, "bus-cycles": unix.PERF_COUNT_HW_BUS_CYCLES,
	"frontend-stalls": unix.PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, "backend-stalls": unix.PERF_COUNT_HW_STALLED_CYCLES_BACKEND,
	"ref-cycles": unix.PERF_COUNT_HW_REF_CPU_CYCLES,
}

// breakpoint access bits (linux/hw_breakpoint.h).
const (
	breakRead  = 1
	breakWrite = 2
	breakRun   = 4
)

// minPeriod is the shortest period of a clock: the kernel makes it of any shorter one.
const minPeriod = 10_000

// eventOf says what to ask perf_event_open for.
func eventOf(hook Hook, p Place) (unix.PerfEventAttr, error) {
	attr := unix.PerfEventAttr{Size: unix.PERF_ATTR_SIZE_VER5, Sample: max(p.Period, 1)}
	switch hook {
	case Every, Clock:
		attr.Type, attr.Config = unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_CLOCK
		attr.Sample = max(p.Period, minPeriod)
	case SoftwareEvent, HardwareEvent:
		names, kind := softwareEvents, uint32(unix.PERF_TYPE_SOFTWARE)
		if hook == HardwareEvent {
			names, kind = hardwareEvents, unix.PERF_TYPE_HARDWARE
		}
		config, ok := names[p.Event]
		if !ok {
			return attr, fmt.Errorf("there is no event %q", p.Event)
		}
		attr.Type, attr.Config = kind, config
	case Breakpoint:
		attr.Type = unix.PERF_TYPE_BREAKPOINT
		attr.Sample = 1
		attr.Ext1, attr.Ext2 = p.Address, p.Length // bp_addr, bp_len
		attr.Bp_type = accessBits(p.Access)
		if attr.Bp_type == breakRun {
			attr.Ext2 = uint64(unsafe.Sizeof(uintptr(0))) // what the kernel demands
		}
	case Tracepoint:
		attr.Type = unix.PERF_TYPE_TRACEPOINT
		attr.Sample_type, attr.Wakeup = unix.PERF_SAMPLE_RAW, 1
		attr.Sample = 1
	}
	return attr, nil
}

func accessBits(access string) (bits uint32) {
	for name, bit := range map[string]uint32{"r": breakRead, "w": breakWrite, "x": breakRun} {
		if strings.Contains(access, name) {
			bits |= bit
		}
	}
	return bits
}

// attachEvents attaches a program to perf events.
//
// A script's interval is the clock of one CPU and not a timer of the agent: the kernel's
// high-resolution timer is exact to microseconds, goes on while the agent is busy, and takes
// no switch to it and back.
func (g *Group) attachEvents(a *attachment, hook Hook, program *ebpf.Program, p Place) error {
	attr, err := eventOf(hook, p)
	if err != nil {
		return err
	}
	if hook == Tracepoint {
		if attr.Config, err = g.tracepointID(p); err != nil {
			return err
		}
	}
	if p.PID > 0 && hook != Clock && hook != Every && hook != Tracepoint {
		return explainEvent(hook, p, attachThreads(a, attr, program, p))
	}
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	if hook == Every || hook == Tracepoint { // a tracepoint's program runs on every CPU, whichever the event is of
		cpus = cpus[:min(len(cpus), 1)]
	}
	a.follow = &followed{hook: hook, attr: attr, program: program, place: p}
	return a.onCPUs(cpus)
}

func attachEvent(a *attachment, attr *unix.PerfEventAttr, pid, cpu int, program *ebpf.Program, p Place) error {
	fd, err := unix.PerfEventOpen(attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open perf event: %w", err)
	}
	l, err := linkEvent(fd, program, p.Cookie)
	if errors.Is(err, unix.EINVAL) && !p.NeedsCookie { // before 5.15: closing the event detaches the program
		a.closers = append(a.closers, descriptor(fd))
		return os.NewSyscallError("ioctl PERF_EVENT_IOC_SET_BPF", unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program.FD()))
	}
	if attr.Type == unix.PERF_TYPE_TRACEPOINT {
		a.events = append(a.events, descriptor(fd))
	} else {
		a.closers = append(a.closers, descriptor(fd))
	}
	if err != nil {
		return fmt.Errorf("attach program to perf event: %w", err)
	}
	a.closers = append(a.closers, l)
	return nil
}

// descriptor is a file descriptor that is closed like any other.
type descriptor int

func (d descriptor) Close() error { return unix.Close(int(d)) }

// linkEvent makes a link with a cookie between a program and a perf event, which
// cilium/ebpf (v0.22.0) does only for events that it has opened itself.
func linkEvent(event int, program *ebpf.Program, cookie uint64) (io.Closer, error) {
	const (
		linkCreate = 28 // BPF_LINK_CREATE
		perfEvent  = 41 // BPF_PERF_EVENT
	)
	attr := struct {
		program, target, kind, flags uint32
		cookie                       uint64
		_                            [40]byte
	}{program: uint32(program.FD()), target: uint32(event), kind: perfEvent, cookie: cookie}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, linkCreate, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return nil, errno
	}
	return descriptor(fd), nil
}

// tracepointID asks the tracing filesystem, which is opened once for all of a group.
func (g *Group) tracepointID(p Place) (id uint64, err error) {
	if g.tracefs == nil {
		if g.tracefs, err = tracefs.Open(); err != nil {
			return 0, err
		}
	}
	return g.tracefs.ID(p.Category, p.Event)
}

func (g *Group) closeTracefs() {
	if g.tracefs != nil {
		g.tracefs.Close()
		g.tracefs = nil
	}
}

// explainEvent says what a kernel that refuses an event lacks, and what would serve.
func explainEvent(hook Hook, p Place, err error) error {
	switch {
	case err == nil:
		return nil
	case hook == HardwareEvent && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV)):
		return fmt.Errorf("this machine counts no %s (virtual machines often have no performance counters); software:cpu-clock or profile samples by time: %w", p.Event, err)
	case hook == Breakpoint && errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("all debug registers of a CPU are in use (there are four on x86): %w", err)
	case hook == Breakpoint && errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the CPU cannot watch %d bytes at %#x for %q: 1, 2, 4 or 8 bytes, aligned to their number, for w, rw or x: %w", p.Length, p.Address, p.Access, err)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("there is no process %d: %w", p.PID, err)
	}
	return err
}

// onlineCPUs lists the CPUs that run.
func onlineCPUs() ([]int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, fmt.Errorf("list CPUs: %w", err)
	}
	return parseCPUs(strings.TrimSpace(string(text)))
}

// parseCPUs reads "0-3,5".
func parseCPUs(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if ranged && err == nil {
			to, err = strconv.Atoi(last)
		}
		if err != nil || to < from || to-from > 1<<16 {
			return nil, fmt.Errorf("list CPUs: %q is no list of CPUs", text)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// EventNames lists the events of a hook by their names.
func EventNames(hook Hook) []string {
	if hook == HardwareEvent {
		return sortedKeys(hardwareEvents)
	}
	return sortedKeys(softwareEvents)
}
