// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"slices"
	"sync"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/host"
)

// hostWatch keeps the host sensor's programs in step with what the configuration wants.
type hostWatch struct {
	kernel *kern.Kernel
	logger *slog.Logger

	mutex  sync.Mutex
	have   map[string]kern.Signal // those that were tried, by name
	shared bool                   // host.Shared is attached
	wanted []string
	shed   string // why nothing is attached, though it is wanted
}

func newHostWatch(k *kern.Kernel, logger *slog.Logger) *hostWatch {
	return &hostWatch{kernel: k, logger: logger, have: map[string]kern.Signal{}}
}

// set follows these groups of calls and no others. What is wanted before and after stays
// attached as it is.
func (w *hostWatch) set(wanted []string) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.wanted = slices.Clone(wanted)
	if w.shed == "" {
		return w.follow(wanted)
	}
	w.have = map[string]kern.Signal{}
	on, _ := host.Plan(wanted)
	for _, s := range shedSignals(on.Ladders, w.shed) {
		w.have[s.Ladder.Signal] = s
	}
	return nil
}

func (w *hostWatch) follow(wanted []string) error {
	on, off := host.Plan(wanted)
	before := w.have
	w.have = map[string]kern.Signal{}
	on.Ladders = slices.DeleteFunc(on.Ladders, func(l kern.Ladder) bool {
		s, ok := before[l.Signal]
		if ok = ok && s.Rung != nil && offers(l, s.Rung.Name); ok {
			w.have[l.Signal] = s
		}
		return ok
	})
	signals, err := w.kernel.Attach(on)
	if err != nil {
		return err
	}
	for _, s := range signals {
		name := s.Ladder.Signal
		w.have[name] = s
		if s.Rung == nil && slices.Contains(wanted, name) {
			w.logger.Warn("these calls cannot be seen on this kernel: see skep doctor", "calls", name)
		}
	}
	if err := w.share(); err != nil {
		return err
	}
	w.kernel.Detach(off)
	return nil
}

// pause takes the programs off, and keeps in mind what is wanted; resume puts them on again.
func (w *hostWatch) pause(why string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.shed = why
	w.kernel.Detach(host.Sensor())
	w.kernel.Detach(host.Shared())
	w.shared = false
	for name, s := range w.have {
		if s.Rung != nil {
			w.have[name] = shedSignals([]kern.Ladder{s.Ladder}, why)[0]
		}
	}
}

func (w *hostWatch) resume() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.shed = ""
	return w.follow(w.wanted)
}

// share attaches what the taxing rungs share while one of them is in use.
func (w *hostWatch) share() error {
	var taxing []string
	for name, s := range w.have {
		if s.Rung != nil && host.Shares(s.Rung.Name) {
			taxing = append(taxing, name)
		}
	}
	if err := kern.Put(w.kernel, host.WantedMap, map[uint32]uint64{0: host.Calls(taxing)}); err != nil {
		return err
	}
	if len(taxing) == 0 {
		w.kernel.Detach(host.Shared())
		w.shared = false
		return nil
	}
	if w.shared {
		return nil
	}
	signals, err := w.kernel.Attach(host.Shared())
	if err != nil {
		return err
	}
	w.shared = signals[0].Rung != nil
	if w.shared {
		return nil
	}
	for _, name := range taxing { // then none of them works
		s := w.have[name]
		for i := range s.Reports {
			if s.Reports[i].State == kern.Used {
				s.Reports[i].State, s.Reports[i].Reason = kern.Unavailable, signals[0].Reports[0].Reason
			}
		}
		s.Rung = nil
		w.have[name] = s
	}
	return nil
}

func offers(ladder kern.Ladder, rung string) bool {
	return slices.ContainsFunc(ladder.Rungs, func(r kern.Rung) bool { return r.Name == rung })
}

// ladders are all of the sensor's: as they were climbed, and what was not tried.
func (w *hostWatch) ladders() (all []kern.Signal) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, ladder := range host.Ladders() {
		s := w.have[ladder.Signal]
		s.Ladder = ladder
		tried := s.Reports
		s.Reports = nil
		for _, r := range ladder.Rungs {
			if i := slices.IndexFunc(tried, func(t kern.RungReport) bool { return t.Name == r.Name }); i >= 0 {
				s.Reports = append(s.Reports, tried[i])
			} else {
				s.Reports = append(s.Reports, kern.RungReport{Name: r.Name, State: kern.Off, Reason: w.offReason(ladder.Signal, r)})
			}
		}
		all = append(all, s)
	}
	return all
}

func (w *hostWatch) offReason(group string, r kern.Rung) string {
	reason := "not in sensors.host.calls"
	if _, tried := w.have[group]; tried {
		reason = "auto leaves it out; name it in sensors.host.calls to have it"
	}
	if host.IsTaxing(r.Name) {
		reason += "; " + r.Limits[0]
	}
	return reason
}

func (a *Agent) applyHost(now *config.Config) error { return a.host.set(now.Sensors.Host.Calls) }

// peerOf is a process as others refer to it.
func peerOf(p *skepv1.Process) *skepv1.Peer {
	return &skepv1.Peer{
		ProcessId: p.GetProcessId(), ExecId: p.GetExecId(), Pid: p.GetPid(), Comm: p.GetComm(), Exe: p.GetExe(), ContainerId: p.GetContainer().GetId(),
	}
}
