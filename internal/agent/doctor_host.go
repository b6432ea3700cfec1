// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/identity/cgroup"
	"github.com/skep-io/skep/internal/kern"
)

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// checkHost looks at what no configuration changes.
func checkHost(h cgroup.Hierarchy, hierarchyErr error, bpffs string) []*skepv1.Check {
	return []*skepv1.Check{
		checkRights(), verdict("processes", "those of the host are visible", kern.CheckPIDNamespace()),
		verdict("btf", "/sys/kernel/btf/vmlinux", kern.CheckBTF()), checkKernelConfig(kernelConfigs()...),
		checkCgroup(h, hierarchyErr), checkCgroup2(), checkLockdown(), checkLSM(), checkPins(bpffs),
	}
}

// verdict makes a check of an error, whose advice is behind its semicolon.
func verdict(name, good string, err error) *skepv1.Check {
	if err == nil {
		return &skepv1.Check{Name: name, Result: "ok", Detail: good}
	}
	detail, advice, _ := strings.Cut(err.Error(), "; ")
	return &skepv1.Check{Name: name, Result: "fail", Detail: detail, Advice: advice}
}

func checkRights() *skepv1.Check {
	c := verdict("rights", "root with all capabilities that are of use", kern.CheckRights())
	if c.Result != "ok" {
		return c
	}
	if missing, err := kern.MissingUseful(); err != nil {
		return verdict("rights", "", err)
	} else if len(missing) > 0 {
		c.Result, c.Detail = "warn", "root with the needed capabilities, but without "+strings.Join(missing, ", ")
		c.Advice = "give the container or unit these capabilities"
	}
	return c
}

func checkCgroup(h cgroup.Hierarchy, err error) *skepv1.Check {
	c := verdict("container identity", h.String(), err)
	if c.Result == "ok" && h.Partial {
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
