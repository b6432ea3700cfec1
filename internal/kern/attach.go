// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// RungState says what became of a rung.
type RungState string

// The states of a rung.
const (
	Used        RungState = "used"
	Unavailable RungState = "unavailable"
	Skipped     RungState = "skipped"    // a better one is used
	ForcedOff   RungState = "forced_off" // another one is forced
	Off         RungState = "off"        // not wanted
)

// Signal is a ladder after it was climbed.
type Signal struct {
	Ladder Ladder
	// Rung is the one in use, nil if none works here.
	Rung    *Rung
	Reports []RungReport
	// Transient: the rung works but does not outlive the agent on this kernel.
	Transient bool
}

// RungReport says why a rung is or is not used.
type RungReport struct {
	Name   string
	State  RungState
	Reason string
}

// Attach climbs the ladders of a sensor that was given to [Open]. A signal that
// cannot be had is reported, not an error, unless it is required. One waits for another: a
// reload may attach while the budget takes a sensor back.
func (k *Kernel) Attach(s Sensor) ([]Signal, error) {
	k.attaching.Lock()
	defer k.attaching.Unlock()
	defer k.holdTypes()()
	defer lingering.hold()()
	defer k.closeTracefs()
	k.forgetRefusal()
	var signals []Signal
	for _, ladder := range s.Ladders {
		signal := k.climb(s, ladder)
		signals = append(signals, signal)
		if signal.Rung == nil && ladder.Required {
			return signals, fmt.Errorf("attach %s: no way to get it works on this kernel: %s", ladder.Signal, signal.reasons())
		}
	}
	return signals, nil
}

// holdTypes keeps the kernel's types until they are let go: decoding them takes longer than
// most loads, and they are large. A start has them already.
func (k *Kernel) holdTypes() (letGo func()) {
	if !k.types.CompareAndSwap(nil, btf.NewCache()) {
		return func() {}
	}
	return func() { k.types.Store(nil) }
}

// forgetRefusal: that programs may not patch the kernel's text saves a start many attempts, but
// whoever forbids it may allow it later.
func (k *Kernel) forgetRefusal() {
	k.mutex.Lock()
	settled := k.settled
	k.mutex.Unlock()
	if settled {
		k.patching.Lock()
		defer k.patching.Unlock()
		k.unpatched, k.patches = nil, false
	}
}

func (s Signal) reasons() string {
	var parts []string
	for _, r := range s.Reports {
		parts = append(parts, r.Name+": "+r.Reason)
	}
	return strings.Join(parts, "; ")
}

func (k *Kernel) climb(s Sensor, ladder Ladder) Signal {
	signal := Signal{Ladder: ladder}
	forced := k.options.Force[ladder.Signal]
	for i := range ladder.Rungs {
		rung := &ladder.Rungs[i]
		report := RungReport{Name: rung.Name}
		switch {
		case forced != "" && rung.Name != forced:
			report.State, report.Reason = ForcedOff, "rung "+forced+" is forced"
		case signal.Rung != nil:
			report.State, report.Reason = Skipped, signal.Rung.Name+" is better and works"
		default:
			transient, err := k.attachRung(s, ladder, rung)
			if err != nil {
				report.State, report.Reason = Unavailable, reason(err)
				break
			}
			report.State = Used
			signal.Rung, signal.Transient = rung, transient
		}
		signal.Reports = append(signal.Reports, report)
	}
	if signal.Rung != nil {
		k.outdate(ladder, signal.Rung)
	}
	return signal
}

// attachRung adopts the rung's pinned links, or loads, attaches and pins anew. On
// failure nothing of the rung is left.
func (k *Kernel) attachRung(s Sensor, ladder Ladder, rung *Rung) (transient bool, err error) {
	if programs := k.adoptRung(ladder, rung); programs != nil {
		k.attached(s, ladder, rung, programs)
		return false, nil
	}
	programs, spec, err := k.loadRung(s, ladder, rung)
	if err != nil {
		return false, err
	}
	defer closeAll(programs)
	var done []*Program
	undo := func() {
		for i := len(done) - 1; i >= 0; i-- {
			done[i].remove()
		}
		if k.dir != "" {
			os.Remove(k.linkDir(ladder, rung))
		}
	}
	for _, name := range rung.Programs {
		p, err := k.attachProgram(s, ladder, rung, spec.Programs[name], programs[name])
		if err != nil {
			undo()
			return false, err
		}
		done = append(done, p)
		transient = transient || (k.dir != "" && p.pin == "" && !p.iterates())
	}
	k.attached(s, ladder, rung, done)
	return transient, nil
}

func (k *Kernel) attachProgram(s Sensor, ladder Ladder, rung *Rung, spec *ebpf.ProgramSpec, program *ebpf.Program) (*Program, error) {
	if err := k.forgetRescues(spec.Name); err != nil {
		return nil, err
	}
	l, err := k.attach(rung, spec, program)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", spec.SectionName, err)
	}
	clone, err := program.Clone()
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("keep program %s: %w", spec.Name, err)
	}
	p := newProgram(spec.Name, spec.SectionName, l, clone)
	if k.dir == "" || k.loose[s.Name] || p.iterates() {
		return p, nil
	}
	dir := k.linkDir(ladder, rung)
	if err := makeDirs(dir); err != nil {
		p.remove()
		return nil, err
	}
	pin := filepath.Join(dir, spec.Name)
	switch err := l.Pin(pin); {
	case err == nil:
		p.pin = pin
	case errors.Is(err, ebpf.ErrNotSupported):
		// Links of perf events cannot be pinned before 5.15: they end with the agent.
		os.Remove(dir)
	default:
		p.remove()
		return nil, fmt.Errorf("pin link of %s: %w", spec.Name, err)
	}
	return p, nil
}

func (k *Kernel) attach(rung *Rung, spec *ebpf.ProgramSpec, program *ebpf.Program) (link.Link, error) {
	switch spec.Type {
	case ebpf.Tracing:
		if spec.AttachType == ebpf.AttachTraceIter {
			over, _ := k.Map(rung.Over[spec.Name]) // nil for what goes over no map
			return link.AttachIter(link.IterOptions{Program: program, Map: over})
		}
		return link.AttachTracing(link.TracingOptions{Program: program})
	case ebpf.RawTracepoint:
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: spec.AttachTo, Program: program})
	case ebpf.LSM:
		return link.AttachLSM(link.LSMOptions{Program: program})
	case ebpf.TracePoint:
		places := rung.Tracepoints[spec.Name]
		if places == nil {
			places = []string{spec.AttachTo}
		}
		return k.attachTracepoints(program, places)
	case ebpf.Kprobe:
		if strings.HasPrefix(spec.SectionName, "kret") {
			return link.Kretprobe(spec.AttachTo, program, nil)
		}
		return link.Kprobe(spec.AttachTo, program, nil)
	case ebpf.CGroupSock, ebpf.CGroupSockAddr, ebpf.CGroupSKB:
		if k.options.Cgroup2 == "" {
			return nil, fmt.Errorf("find cgroup2: not mounted; mount it, for example at /sys/fs/cgroup/unified: %w", ebpf.ErrNotSupported)
		}
		return link.AttachCgroup(link.CgroupOptions{Path: k.options.Cgroup2, Attach: spec.AttachType, Program: program})
	}
	return nil, fmt.Errorf("attach program type %s: %w", spec.Type, errors.ErrUnsupported)
}

func (k *Kernel) attached(s Sensor, ladder Ladder, rung *Rung, programs []*Program) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, p := range programs {
		p.sensor, p.signal, p.rung = s.Name, ladder.Signal, rung.Name
	}
	k.programs = append(k.programs, programs...)
}

func (k *Kernel) linkDir(ladder Ladder, rung *Rung) string {
	return filepath.Join(k.dir, "links", ladder.Signal+"-"+string(ladder.Intent)+"-"+strings.ReplaceAll(rung.Name, "/", "-"))
}
