// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/host"
)

// Doctor probes this host without an agent: it attaches every sensor privately and
// takes everything off again.
func Doctor(cfg config.Config, force map[string]string, logger *slog.Logger) *skepv1.GetDoctorResponse {
	hierarchy, hierarchyErr := cgroup.ChooseLive()
	signals, err := probeSignals(cfg, force, logger)
	report := doctor(signals, hierarchy, cfg.BPFFS)
	if hierarchyErr != nil {
		err = hierarchyErr
	}
	if err != nil {
		report.Ok = false
		report.Checks = append(report.Checks, &skepv1.Check{Name: "agent", Result: "fail", Detail: err.Error()})
	}
	return report
}

func probeSignals(cfg config.Config, force map[string]string, logger *slog.Logger) ([]kern.Signal, error) {
	if err := kern.Preflight(); err != nil {
		return nil, err
	}
	a := &Agent{options: Options{Config: cfg, Private: true, Force: force}, logger: logger}
	if err := a.openCgroups(); err != nil {
		return nil, err
	}
	if err := a.openKernel(); err != nil {
		return nil, err
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

// doctor reports on the host and on the ladders as they were climbed.
func doctor(signals []kern.Signal, h cgroup.Hierarchy, bpffs string) *skepv1.GetDoctorResponse {
	r := &skepv1.GetDoctorResponse{
		KernelRelease: kernelRelease(), Architecture: runtime.GOARCH, Ok: true, Signals: signalStatus(signals),
	}
	for _, check := range []func() *skepv1.Check{
		checkRights, checkBTF, func() *skepv1.Check { return checkCgroup(h) }, checkCgroup2, checkLockdown, checkLSM,
		func() *skepv1.Check { return checkPins(bpffs) },
	} {
		c := check()
		r.Checks = append(r.Checks, c)
		r.Ok = r.Ok && c.Result != "fail"
	}
	for _, s := range signals {
		r.Ok = r.Ok && (s.Rung != nil || !s.Ladder.Required)
	}
	return r
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func checkRights() *skepv1.Check {
	c := &skepv1.Check{Name: "rights", Result: "ok", Detail: "root with the needed capabilities"}
	missing, err := kern.MissingCapabilities()
	switch {
	case os.Geteuid() != 0:
		c.Result, c.Detail, c.Advice = "fail", fmt.Sprintf("uid %d", os.Geteuid()), "run as root"
	case err != nil:
		c.Result, c.Detail = "fail", err.Error()
	case len(missing) > 0:
		c.Result, c.Detail = "fail", "without "+strings.Join(missing, ", ")
		c.Advice = "give the container or unit these capabilities"
	}
	return c
}

func checkBTF() *skepv1.Check {
	if err := kern.CheckBTF(); err != nil {
		detail, advice, _ := strings.Cut(err.Error(), "; ")
		return &skepv1.Check{Name: "btf", Result: "fail", Detail: detail, Advice: advice}
	}
	return &skepv1.Check{Name: "btf", Result: "ok", Detail: "/sys/kernel/btf/vmlinux"}
}

func checkCgroup(h cgroup.Hierarchy) *skepv1.Check {
	c := &skepv1.Check{Name: "container identity", Result: "ok", Detail: h.String()}
	if h.Partial {
		c.Result = "warn"
		c.Detail += ": only a part of the host's hierarchy is visible here"
		c.Advice = "mount the host's /sys/fs/cgroup into the agent's container"
	}
	return c
}

func checkCgroup2() *skepv1.Check {
	if mount := cgroup.RootV2(); mount != "" {
		return &skepv1.Check{Name: "cgroup2", Result: "ok", Detail: mount}
	}
	return &skepv1.Check{Name: "cgroup2", Result: "warn", Detail: "not mounted: programs that attach to cgroups cannot be used",
		Advice: "mount -t cgroup2 none /sys/fs/cgroup/unified"}
}

func checkLockdown() *skepv1.Check {
	c := &skepv1.Check{Name: "lockdown", Result: "ok", Detail: kern.Lockdown()}
	switch c.Detail {
	case "":
		c.Result, c.Detail, c.Advice = "warn", "not known: securityfs is not mounted", "mount -t securityfs none /sys/kernel/security"
	case "confidentiality":
		c.Result = "warn"
		c.Detail += ": programs may not read kernel memory by helper; paths come from /proc, after the event, and OOM kills lack limit and usage"
		c.Advice = "lockdown=integrity allows it"
	}
	return c
}

func checkLSM() *skepv1.Check {
	text, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return &skepv1.Check{Name: "lsm", Result: "warn", Detail: "not known: securityfs is not mounted"}
	}
	list := strings.TrimSpace(string(text))
	for _, name := range strings.Split(list, ",") {
		if name == "bpf" {
			return &skepv1.Check{Name: "lsm", Result: "ok", Detail: list}
		}
	}
	return &skepv1.Check{Name: "lsm", Result: "ok", Detail: list + ": without bpf (needed only to deny, not to see)",
		Advice: "to deny by LSM later, add bpf to lsm= on the kernel command line"}
}

func checkPins(root string) *skepv1.Check {
	c := &skepv1.Check{Name: "bpf filesystem", Result: "ok", Detail: root}
	if mounts, err := kern.CheckPinRoot(root); err != nil {
		c.Result = "fail"
		c.Detail, c.Advice, _ = strings.Cut(err.Error(), "; ")
	} else if mounts {
		c.Detail += ": the agent mounts the filesystem when it starts"
	}
	return c
}
