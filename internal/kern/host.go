// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// capability is one by bit number (capability.h), with what it is for.
type capability struct {
	bit  uint
	name string
	why  string
}

// Capabilities that the agent cannot do without.
var needed = []capability{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "iterating and pinning kernel objects"},
	{unix.CAP_BPF, "CAP_BPF", "loading programs"},
	{unix.CAP_PERFMON, "CAP_PERFMON", "tracing programs"},
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "socket programs"},
}

// Capabilities that it gets along without, with what is lost then.
var useful = []capability{
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "without it executables, directories and namespaces of processes that were there before the agent are not read"},
	{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "without it /proc of other users' processes may stay closed, and a cgroup that is not known yet is looked for by a walk"},
	{unix.CAP_SYS_NICE, "CAP_SYS_NICE", "without it the thread that empties the rings has no precedence, and more records may be lost on a busy host"},
}

// Preflight says in one sentence what keeps the agent from running here, or nil.
func Preflight() error { return preflight(CheckRights, CheckPIDNamespace, CheckBTF) }

// PreflightScripts is [Preflight] of an agent without sensors. Most scripts use no BTF, which
// takes long to read: that it is there must do.
func PreflightScripts() error { return preflight(CheckRights, CheckPIDNamespace, findBTF) }

func preflight(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return fmt.Errorf("start agent: %w", err)
		}
	}
	return nil
}

// CheckRights says what this process may not do that the agent must, or nil. What is behind
// the semicolon is what to do about it.
func CheckRights() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root, runs as uid %d; run it with sudo or as a system service", os.Geteuid())
	}
	if err := checkUserNamespace("/proc/self/ns/user"); err != nil {
		return err
	}
	missing, err := lacking(needed)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("root without %s; give the container or unit these capabilities", strings.Join(missing, ", "))
	}
	return nil
}

// The inodes of the initial namespaces: PROC_USER_INIT_INO and PROC_PID_INIT_INO of the kernel.
const (
	initialUserNamespace = 0xeffffffd
	initialPIDNamespace  = 0xeffffffc
)

// checkUserNamespace: root of another user namespace than the initial one has all
// capabilities there, and the kernel asks for those of the initial one.
func checkUserNamespace(path string) error {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return fmt.Errorf("look at own user namespace: %w; mount /proc", err)
	}
	if stat.Ino != initialUserNamespace {
		return errors.New("root of a user namespace only, which may not load BPF programs; run it as root of the host, " +
			"or in a container without a user namespace (podman as root, docker --userns=host, hostUsers: true)")
	}
	return nil
}

// CheckPIDNamespace says what keeps the agent from seeing all processes, or nil: in another
// pid namespace than the initial one the kernel shows only that one's, and the agent would
// take all others for gone.
func CheckPIDNamespace() error { return checkPIDNamespace("/proc/self/ns/pid") }

func checkPIDNamespace(path string) error {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return fmt.Errorf("look at own pid namespace: %w; mount /proc", err)
	}
	if stat.Ino != initialPIDNamespace {
		return errors.New("not in the host's pid namespace, whose processes it would not see; " +
			"run it on the host, or in a container with hostPID (--pid=host)")
	}
	return nil
}

// CheckBTF says what keeps programs from finding their way about this kernel, or nil.
func CheckBTF() error {
	// Not LoadKernelSpec alone: it also takes a kernel image from /boot, which may be of a
	// kernel that itself has no BTF to attach by.
	if err := findBTF(); err != nil {
		return err
	}
	_, err := btf.LoadKernelSpec()
	return withoutBTF(err)
}

func findBTF() error {
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	return withoutBTF(err)
}

func withoutBTF(err error) error {
	if err != nil {
		return fmt.Errorf("read kernel BTF: %w; use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, RHEL 8.2 "+
			"and later have it), and mount /sys if it is not there", err)
	}
	return nil
}

// MissingUseful lists the capabilities that this process lacks and the agent gets along
// without, with what that costs.
func MissingUseful() ([]string, error) { return lacking(useful) }

func lacking(wanted []capability) ([]string, error) {
	effective, err := effectiveCapabilities()
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, c := range wanted {
		if effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name+" ("+c.why+")")
		}
	}
	return missing, nil
}

func effectiveCapabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}

// Lockdown returns the kernel's lockdown mode: none, integrity, confidentiality,
// or "" where securityfs does not tell.
func Lockdown() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, rest, found := strings.Cut(string(text), "[")
	mode, _, closed := strings.Cut(rest, "]")
	if !found || !closed {
		return ""
	}
	return mode
}

// SubsysIndex returns the index of a v1 controller in css_set.subsys on the
// running kernel, such as that of "memory".
func SubsysIndex(controller string) (int32, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, fmt.Errorf("read kernel BTF: %w", err)
	}
	var ids *btf.Enum
	if err := kernel.TypeByName("cgroup_subsys_id", &ids); err != nil {
		return 0, fmt.Errorf("find enum cgroup_subsys_id in kernel BTF: %w", err)
	}
	for _, v := range ids.Values {
		if v.Name == controller+"_cgrp_id" {
			return int32(v.Value), nil
		}
	}
	return 0, fmt.Errorf("find cgroup controller %s in kernel BTF: %w", controller, errors.ErrUnsupported)
}
