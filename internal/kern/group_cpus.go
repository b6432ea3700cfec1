// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// followed is what is on every CPU, also on those that come later.
type followed struct {
	hook    Hook
	attr    unix.PerfEventAttr
	program *ebpf.Program
	place   Place
	cpus    []int // that have it
}

func (a *attachment) onCPUs(cpus []int) error {
	f := a.follow
	for _, cpu := range cpus {
		if err := attachEvent(a, &f.attr, -1, cpu, f.program, f.place); err != nil {
			return explainEvent(f.hook, f.place, err)
		}
		f.cpus = append(f.cpus, cpu)
	}
	return nil
}

// FollowCPUs attaches what is on every CPU to those that have come since, and moves what is
// on one to another if that has gone: the kernel takes events off a CPU that goes, for good.
func (g *Group) FollowCPUs() error {
	cpus, err := onlineCPUs()
	if err != nil || len(cpus) == 0 {
		return err
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	var errs []error
	for _, a := range g.attached {
		f := a.follow
		if f == nil || f.hook == Tracepoint { // that is on all without being there
			continue
		}
		f.cpus = slices.DeleteFunc(f.cpus, func(cpu int) bool { return !slices.Contains(cpus, cpu) })
		want := cpus
		if f.hook == Every {
			want = cpus[:1]
			if len(f.cpus) > 0 {
				continue
			}
		}
		errs = append(errs, a.onCPUs(slices.DeleteFunc(slices.Clone(want), func(cpu int) bool { return slices.Contains(f.cpus, cpu) })))
	}
	return errors.Join(errs...)
}

// attachThreads attaches to every thread of a process: an event is one thread's, and is
// inherited by those that it starts.
func attachThreads(a *attachment, attr unix.PerfEventAttr, program *ebpf.Program, p Place) error {
	attr.Bits |= unix.PerfBitInherit
	done := map[int]bool{}
	for again := true; again; {
		again = false
		threads, err := threadsOf(p.PID)
		if err != nil {
			return err
		}
		for _, tid := range threads {
			if done[tid] {
				continue
			}
			done[tid], again = true, true // others may have come meanwhile
			if err := attachEvent(a, &attr, tid, -1, program, p); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if len(done) > mostThreads {
			return fmt.Errorf("process %d has more than %d threads", p.PID, mostThreads)
		}
	}
	if len(a.closers) == 0 {
		return unix.ESRCH
	}
	return nil
}

// mostThreads bounds the events that one probe takes of a process.
const mostThreads = 4096

func threadsOf(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if errors.Is(err, os.ErrNotExist) {
		return nil, unix.ESRCH
	}
	if err != nil {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	var threads []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			threads = append(threads, tid)
		}
	}
	return threads, nil
}
