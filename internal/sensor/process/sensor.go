// SPDX-License-Identifier: Apache-2.0

// Package process is the sensor of processes: fork, exec, exit and OOM kills, and
// the cgroups that name their containers. Its kernel side is bpf/process.
package process

import "github.com/skep-io/skep/internal/kern"

// Sensor declares the ladders of the process sensor.
func Sensor() kern.Sensor {
	return kern.Sensor{
		Name:    "process",
		Rescues: rescues(),
		Scans:   []string{ExistingProgram},
		Ladders: []kern.Ladder{
			ladder("cgroup", "mkdir", "rmdir", "attach"),
			// Before fork: of what is seen to begin the end must be seen too.
			ladder("exit", "exit", "exit2"),
			ladder("fork", "fork", "fork2"),
			ladder("exec", "exec", "exec2"),
			oomLadder(),
		},
	}
}

// rescues: what one program misses, the second at the same tracepoint handles. See enum
// turn in bpf/process.
func rescues() []kern.Rescue {
	var all []kern.Rescue
	for _, suffix := range []string{"_btf", "_raw"} {
		for _, p := range []string{"fork", "exec", "exit"} {
			all = append(all, kern.Rescue{Program: p + suffix, By: p + "2" + suffix, Counter: p + "_rescues", Both: true})
		}
	}
	return all
}

// ExistingProgram is the iterator that finds the processes which were there first.
const ExistingProgram = "existing"

// ladder is that of a signal whose programs exist for BTF tracepoints and for raw
// ones. Both see the same; the raw rung reads kernel memory by helper.
func ladder(signal string, programs ...string) kern.Ladder {
	with := func(suffix string) []string {
		var names []string
		for _, p := range programs {
			names = append(names, p+suffix)
		}
		return names
	}
	return kern.Ladder{
		Signal:   signal,
		Intent:   kern.See,
		Required: true,
		Advice:   "BTF tracepoints need Linux 5.5 or later with CONFIG_DEBUG_INFO_BTF=y",
		Rungs: []kern.Rung{
			{Name: "tp_btf", Programs: with("_btf")},
			{
				Name: "raw_tp", Programs: with("_raw"), Config: map[string]any{"cfg_typed": false},
				Limits: []string{"does not load under lockdown=confidentiality, which forbids reading kernel memory by helper"},
			},
		},
	}
}

func oomLadder() kern.Ladder {
	return kern.Ladder{
		Signal: "oom",
		Intent: kern.See,
		Advice: "the victim's cgroup, limit and usage need Linux 6.10 or later",
		Rungs: []kern.Rung{
			{Name: "tp_btf", Programs: []string{"oom_task"}},
			{
				Name: "tp_btf_pid", Programs: []string{"oom_pid"},
				Limits: []string{"the kernel names the victim by pid only: limit and usage of its cgroup are not known"},
			},
		},
	}
}
