// SPDX-License-Identifier: Apache-2.0

package process

import (
	"math/bits"
	"os"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

var pageSize = uint64(os.Getpagesize())

// ExitBody makes the public body of an exit.
func ExitBody(r *abi.ExitRecord) *skepv1.Exit {
	status := unix.WaitStatus(r.Status)
	body := &skepv1.Exit{
		DurationNs:  since(r.Header.BootNS, r.Process.ID.StartNS),
		MaxRssBytes: r.MaxRSSPages * pageSize,
	}
	// The low seven bits are the signal; here a stopped status cannot occur.
	if signal := unix.Signal(r.Status & 0x7f); signal != 0 {
		body.Signal = uint32(signal)
		body.SignalName = unix.SignalName(signal)
		body.CoreDumped = r.Status&0x80 != 0
	} else {
		body.Code = uint32(status.ExitStatus())
	}
	body.UserNs, body.SystemNs = cpuTimes(r.UserNS, r.SystemNS, r.RuntimeNS)
	return body
}

func since(now, then uint64) uint64 {
	if now < then {
		return 0
	}
	return now - then
}

// cpuTimes splits the exact run time in the proportion of the tick-based times, as
// the kernel does for getrusage (kernel/sched/cputime.c, cputime_adjust).
func cpuTimes(user, system, runtime uint64) (uint64, uint64) {
	if system == 0 {
		return runtime, 0
	}
	if user == 0 {
		return 0, runtime
	}
	high, low := bits.Mul64(system, runtime)
	if high >= user+system {
		return user, system // nonsense in: do not overflow
	}
	scaled, _ := bits.Div64(high, low, user+system)
	return runtime - scaled, scaled
}

// OomBody makes the public body of an OOM kill, but for the cgroup's path.
func OomBody(r *abi.OOMRecord) *skepv1.Oom {
	return &skepv1.Oom{
		CgroupId: r.CgroupID, LimitBytes: r.LimitPages * pageSize, UsageBytes: r.UsagePages * pageSize,
		VictimRssBytes: r.VictimPages * pageSize,
	}
}
