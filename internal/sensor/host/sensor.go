// SPDX-License-Identifier: Apache-2.0

// Package host is the sensor of calls that change the host or another process: tracing,
// mounting, entering namespaces, loading modules and BPF programs, changing ids, signals
// from process to process, files in memory, and capabilities put to use.
//
// # Problem
//
// Each of these calls is rare, and most of them can be followed only where the kernel lets a
// program follow one of its own functions. Elsewhere there is the end of all system calls,
// which makes each of them dearer.
//
// # Mechanism
//
// Every group of calls has a ladder of its own, so that the host pays for what is wanted
// only. Of a rung that every system call pays for [IsTaxing] tells: [Plan] takes it for groups that are
// named, and leaves it out for those that Auto stands for.
package host

import (
	"maps"
	"runtime"
	"slices"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
)

// Auto, in a list of groups, stands for those that are rare, as far as they can be had at
// no cost to other calls.
const Auto = "auto"

// The rungs that each system call of the host pays for.
const (
	// Detour are programs at the kernel's tracepoint for each call: all calls make the detour
	// on which tracepoints lie while there is any, however many.
	Detour = "tracepoint"
	// Taxing is a program at the end of all calls. The groups on it share that of [Shared].
	Taxing = "sys_exit"
	// taxingProbe is the same before Linux 5.11, where it has programs of its own.
	taxingProbe = "sys_exit_probe"
)

// IsTaxing tells of a rung by its name whether each system call of the host pays for it.
func IsTaxing(rung string) bool { return rung == Detour || Shares(rung) }

// Shares tells of a rung by its name whether it needs [Shared].
func Shares(rung string) bool { return rung == Taxing || rung == taxingProbe }

// What the rungs lack.
const (
	anyCall   = "each system call of the host costs some 55 ns more while it is attached, for one group of calls or all of them"
	anyCall2  = "each system call of the host costs some 55 ns more while any such rung is attached, and 55 ns more for this one, which follows their beginning too"
	detour    = "each system call of the host costs 30 to 70 ns more while any such rung is attached, for one group of calls or all of them"
	unknowing = "before Linux 6.7 a call that is missed, as the agent or a program of another was at work on that CPU, is not counted"
	only64    = "calls by 32-bit programs are not seen"
	texts     = "texts are read at the end of the call: a thread that changes them meanwhile can give wrong ones"
	refused   = "a signal that the sender had no right to send is not seen"
	vain      = "a module that was not loaded is not seen"
	failing64 = "calls by 32-bit programs that fail are not seen"
	unasked   = "of calls that succeed it is not known which ids they asked for"
	crowded   = "of calls that wait, such as for a disk, only some are followed at a time: twice as many as there are CPUs, or ten"
	forged    = "a signal that claims to be of a timer or a queue is taken for one"
	unaudited = "CAP_SYS_ADMIN is not told in calls that map memory, in which the kernel asks for it each time"
)

// group is one or several system calls that are wanted together.
type group struct {
	name   string
	auto   bool
	rungs  []kern.Rung
	calls  []abi.HostSystemCall // of the rung Taxing
	advice string
}

func (g *group) ladder() kern.Ladder {
	return kern.Ladder{Signal: g.name, Intent: kern.See, Rungs: g.rungs, Advice: g.advice}
}

const trampolines = "the best rung needs fexit: a host that lets programs patch kernel text"

var groups = []group{
	{"ptrace", true, called([]string{"ptrace"}, only64), []abi.HostSystemCall{abi.CallPtrace}, trampolines},
	{"mount", true, called([]string{"mount", "umount", "move", "pivot"}, only64, texts),
		[]abi.HostSystemCall{abi.CallMount, abi.CallUmount, abi.CallMoveMount, abi.CallPivotRoot}, trampolines},
	{"setns", true, called([]string{"setns"}, only64), []abi.HostSystemCall{abi.CallSetns}, trampolines},
	{"unshare", true, called([]string{"unshare"}, only64), []abi.HostSystemCall{abi.CallUnshare}, trampolines},
	{"module", true, modules(), nil,
		"it needs a kernel with loadable modules; " + trampolines},
	{"bpf", true, called([]string{"bpf"}, only64, texts), []abi.HostSystemCall{abi.CallBpf}, trampolines},
	{"setuid", true, ids(), []abi.HostSystemCall{abi.CallSetuid, abi.CallSetreuid, abi.CallSetresuid, abi.CallSetfsuid,
		abi.CallSetgid, abi.CallSetregid, abi.CallSetresgid, abi.CallSetfsgid}, trampolines},
	{"kill", true, signals(), nil, trampolines},
	{"memfd", true, called([]string{"memfd"}, only64, texts), []abi.HostSystemCall{abi.CallMemfdCreate}, trampolines},
	{"capability", false, capabilities(), nil, "it needs fexit, or Linux 6.14 or later"},
}

// Groups are the names of all of them.
func Groups() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// Sensor declares all ladders of the sensor, that of [Shared] among them. The signal of each
// other is the name of its group.
func Sensor() kern.Sensor {
	s := Shared()
	s.Ladders = append(s.Ladders, Ladders()...)
	return s
}

// Ladders are those of the groups.
func Ladders() (all []kern.Ladder) {
	for i := range groups {
		all = append(all, groups[i].ladder())
	}
	return all
}

// Shared is what the rungs [Taxing] of all groups share, to be attached while one of them is
// used. Which calls it tells is in the map [WantedMap].
func Shared() kern.Sensor {
	return kern.Sensor{Name: "host", Ladders: []kern.Ladder{{Signal: "host_calls", Intent: kern.See, Rungs: taxing("host_end")}}}
}

// WantedMap has the bits of [Calls] as its only entry.
const WantedMap = "host_wanted"

// Calls are the bits of the system calls of groups.
func Calls(names []string) (bits uint64) {
	for _, g := range groups {
		for _, c := range g.calls {
			if slices.Contains(names, g.name) {
				bits |= 1 << c
			}
		}
	}
	return bits
}

// Plan divides the sensor into what is wanted and what is not, rung by rung.
func Plan(wanted []string) (on, off kern.Sensor) {
	on, off = kern.Sensor{Name: "host"}, kern.Sensor{Name: "host"}
	for _, g := range groups {
		ladder := g.ladder()
		yes, no := ladder, ladder
		yes.Rungs, no.Rungs = nil, nil
		for _, r := range ladder.Rungs {
			if slices.Contains(wanted, ladder.Signal) || slices.Contains(wanted, Auto) && g.auto && !IsTaxing(r.Name) {
				yes.Rungs = append(yes.Rungs, r)
			} else {
				no.Rungs = append(no.Rungs, r)
			}
		}
		if len(yes.Rungs) > 0 {
			on.Ladders = append(on.Ladders, yes)
		}
		if len(no.Rungs) > 0 {
			off.Ladders = append(off.Ladders, no)
		}
	}
	return on, off
}

// config are the constants of a rung. Typed: the kernel knows what its pointers point to.
func config(typed bool, more map[string]any) map[string]any {
	all := map[string]any{
		"cfg_typed": typed, "cfg_task_regs": typed, "cfg_arm64": runtime.GOARCH == "arm64", "cfg_calls": numbers(),
		"cfg_queue_calls": queueCalls(), "cfg_memory_calls": memoryCalls(),
	}
	maps.Copy(all, more)
	return all
}

// fexit are the rungs by the kernel's functions: with pointers that have types, and (before
// Linux 5.15) without.
func fexit(programs []string, more map[string]any, limits ...string) []kern.Rung {
	return []kern.Rung{
		{Name: "fexit", Programs: programs, Config: config(true, more), Limits: limits},
		{Name: "fexit_probe", Programs: programs, Config: config(false, more), Limits: limits},
	}
}

// functions are the programs at the functions of system calls on this architecture; how is ""
// for fexit, "k" for kretprobe, and "t" and "b" for the tracepoints of their end and beginning.
func functions(how string, calls ...string) []string {
	prefix := "host"
	if runtime.GOARCH == "arm64" && (how == "" || how == "k") {
		prefix = "hosta"
	}
	var programs []string
	for _, c := range calls {
		programs = append(programs, prefix+how+"_"+c)
	}
	return programs
}

// probed is the rung for functions that are not in the kernel's BTF.
func probed(programs []string, more map[string]any, limits ...string) kern.Rung {
	return kern.Rung{Name: "kretprobe", Programs: programs, Config: config(true, more), Limits: append([]string{crowded}, limits...)}
}

func called(calls []string, limits ...string) []kern.Rung {
	return append(fexit(functions("", calls...), nil, limits...), probed(functions("k", calls...), nil, limits...),
		detoured(functions("t", calls...), limits...), kern.Rung{Name: Taxing, Limits: append([]string{anyCall}, limits...)})
}

// detoured is the rung by the tracepoint of each call.
func detoured(programs []string, limits ...string) kern.Rung {
	return kern.Rung{Name: Detour, Programs: programs, Config: config(true, nil), Limits: append([]string{detour, unknowing}, limits...)}
}

// taxing are the rungs of a program that each system call passes.
func taxing(program string, limits ...string) []kern.Rung {
	return []kern.Rung{
		{Name: Taxing, Programs: []string{program}, Config: config(true, nil), Limits: limits},
		{Name: taxingProbe, Programs: []string{program}, Config: config(false, nil), Limits: limits},
	}
}

func modules() []kern.Rung {
	loaded := []string{"host_module_load", "host_module_go"}
	failed := map[string]any{"cfg_failures_only": true}
	calls := []string{"init", "finit", "delete"}
	rungs := fexit(slices.Concat(loaded, functions("", calls...)), failed, only64)
	return append(rungs, probed(slices.Concat(loaded, functions("k", calls...)), failed, only64),
		kern.Rung{Name: "tp_btf", Programs: loaded, Config: config(true, nil), Limits: []string{vain}},
		kern.Rung{Name: "tp_btf_probe", Programs: loaded, Config: config(false, nil), Limits: []string{vain}},
	)
}

func ids() []kern.Rung {
	failed := map[string]any{"cfg_failures_only": true}
	changed, calls := []string{"host_fix_uid", "host_fix_gid"}, []string{"uid", "reuid", "resuid", "gid", "regid", "resgid"}
	rungs := fexit(slices.Concat(changed, functions("", calls...)), failed, failing64)
	rungs[1].Limits = append(slices.Clone(rungs[1].Limits), unasked)
	all := append(slices.Clone(calls), "fsuid", "fsgid")
	rungs = append(rungs, probed(slices.Concat(changed, functions("k", calls...)), failed, failing64),
		detoured(slices.Concat(functions("b", all...), functions("t", all...)), only64))
	return append(rungs, taxing("host_ids_begin", anyCall2, only64)...)
}

func signals() []kern.Rung {
	sent := []string{"host_signal"}
	return append(fexit(append(slices.Clone(sent), "host_may_signal"), nil),
		kern.Rung{Name: "tp_btf", Programs: sent, Config: config(true, nil), Limits: []string{refused}},
		kern.Rung{Name: "tp_btf_probe", Programs: sent, Config: config(false, nil), Limits: []string{refused, forged}},
	)
}

func capabilities() []kern.Rung {
	return append(fexit([]string{"host_capable"}, nil), kern.Rung{
		Name: "tp_btf", Programs: []string{"host_capable_t"}, Config: config(true, nil), Limits: []string{unaudited},
	})
}
