// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"runtime"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/host"
)

// Configured is what skepd has found as its configuration.
type Configured struct {
	config.Config // the defaults, if Err is not nil
	// Path is of the file, which need not be there.
	Path string
	// Err is why the file cannot be used.
	Err error
}

// Doctor probes this host without an agent: it attaches every sensor privately and
// takes everything off again.
func Doctor(c Configured, force map[string]string, logger *slog.Logger) *skepv1.GetDoctorResponse {
	hierarchy, hierarchyErr := cgroup.ChooseLive()
	checks := append(checkHost(hierarchy, hierarchyErr, c.BPFFS), checkConfiguration(c.Path, c.Err)...)
	checks = append(checks, checkPlaces(c.Config)...)
	checks = append(checks, checkSocket(c.Socket))
	var signals []kern.Signal
	if kern.Preflight() == nil && hierarchyErr == nil { // else the checks say why
		var err error
		if signals, err = probeSignals(c.Config, force, logger); err != nil {
			checks = append(checks, &skepv1.Check{Name: "agent", Result: "fail", Detail: err.Error()})
		}
	}
	return diagnosis(signals, checks)
}

// doctor is what a running agent says. What would keep it from starting again does not
// keep it from running, and so is a warning.
func (a *Agent) doctor() *skepv1.GetDoctorResponse {
	cfg, err := *a.inForce.Load(), error(nil)
	if a.options.Load != nil {
		_, err = a.options.Load()
	}
	cfg.Store.Enabled = a.store != nil
	start := append(checkConfiguration(a.options.ConfigPath, err), checkPlaces(cfg)...)
	for _, c := range start {
		if c.Result == "fail" {
			c.Result, c.Detail = "warn", c.Detail+" (the agent that runs goes on; another would not start)"
		}
	}
	return diagnosis(a.allSignals(), append(checkHost(a.hierarchy, nil, cfg.BPFFS), start...))
}

// diagnosis makes the report of what was found.
func diagnosis(signals []kern.Signal, checks []*skepv1.Check) *skepv1.GetDoctorResponse {
	r := &skepv1.GetDoctorResponse{
		KernelRelease: kernelRelease(), Architecture: runtime.GOARCH, Ok: true, Checks: checks, Signals: signalStatus(signals),
	}
	for _, c := range checks {
		r.Ok = r.Ok && c.Result != "fail"
	}
	for _, s := range signals {
		r.Ok = r.Ok && (s.Rung != nil || !s.Ladder.Required)
	}
	return r
}

// probeSignals attaches every sensor, and takes them off again.
func probeSignals(cfg config.Config, force map[string]string, logger *slog.Logger) ([]kern.Signal, error) {
	a := &Agent{options: Options{Config: cfg, Private: true, Force: force}, logger: logger}
	for _, step := range []func() error{a.openRedact, a.openCgroups, a.openKernel} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	defer a.kernel.Close()
	for _, s := range a.sensors() {
		if s.Name == host.Sensor().Name {
			continue
		}
		signals, err := a.kernel.Attach(s)
		a.signals.set(s.Name, signals)
		if err != nil {
			return a.signals.all(), err
		}
	}
	a.host = newHostWatch(a.kernel, logger)
	err := a.host.set(cfg.Sensors.Host.Calls)
	return append(a.signals.all(), a.host.ladders()...), err
}
