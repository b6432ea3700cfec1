// SPDX-License-Identifier: Apache-2.0

// Package files is the sensor of operations on files below watched paths: opening for
// writing, creating, renaming, removing, linking, and changing mode or owner.
//
// # Problem
//
// A host opens thousands of files a second, and a few paths matter. What a process passes
// to the kernel is a name, which says little: it is relative, goes through symlinks, and
// means another thing in another mount namespace.
//
// # Mechanism
//
// A [Plan] turns the configured paths into objects (device and inode); the kernel side
// (bpf/files) goes up from what is operated on and asks for each directory whether it is
// one of them. Its end of the system call has the result and makes one record.
//
// # Invariants
//
//   - What is not watched never leaves the kernel, but for failures and, on the lowest
//     rung, names that letters cannot decide: [Plan.Watched] does.
//   - What cannot be decided is told, not dropped.
package files

import (
	"runtime"
	"slices"

	"github.com/skep-io/skep/internal/kern"
)

// Signal is the name of the ladder.
const Signal = "file"

// What the rungs lack.
const (
	written = "what is written through a descriptor that is already open is not seen"
	failing = "an operation that fails on its way through a symlink from outside a watched directory is not seen"
	anyCall = "each system call of the host costs some 50 ns more while it is attached"
	detour  = "each system call of the host costs 30 to 70 ns more while it is attached, or another rung of that name of the host sensor"
	noRing  = "operations by io_uring, by 32-bit programs and by the kernel itself (NFS server) are not seen"
	racing  = "names are read at the end of the system call: a thread that changes them meanwhile can give a wrong one, and one that " +
		"exchanges the new descriptor can hide an open"
	madeUnknown = "device and inode of what is made, removed or renamed are known in part"
	ringOpens   = "opens by io_uring, by 32-bit programs and by the kernel itself are not seen"
	symlinks    = "an operation other than an open that goes through a symlink from outside a watched directory is not seen"
	noResult    = "the result of an operation by io_uring, by a 32-bit program or by the kernel itself is not known"
)

// Programs of the object. The end of a system call is in each rung: of any, or of those that matter.
const (
	end     = "file_end"
	endCall = "file_end_call"
)

// changes are the programs at the tracepoints where inodes get a new time of change.
var changes = []string{"file_ctime", "file_ctime_same", "file_ctime_fine"}

func hooks(suffix string, more ...string) []string {
	programs := more
	for _, operation := range []string{"mkdir", "mknod", "rename", "unlink", "rmdir", "link", "symlink", "chmod", "chown"} {
		programs = append(programs, "file_"+operation+suffix)
	}
	return append(programs, end)
}

// Sensor declares the ladder of the file sensor.
func Sensor() kern.Sensor {
	return kern.Sensor{
		Name: "files",
		Ladders: []kern.Ladder{{
			Signal: Signal,
			Intent: kern.See,
			Advice: "the best rung needs fentry (Linux 6.2 or later, on a host that lets programs patch kernel text) and CONFIG_SECURITY_PATH=y",
			Rungs: []kern.Rung{
				rung("fentry", hooks("", "file_open"), exact{operations: true, opens: true, registers: true, cast: true}, noResult),
				rung("fentry_probe", hooks("", "file_open"), exact{operations: true, opens: true, registers: true}, noResult),
				rung("kprobe", hooks("_k"), exact{operations: true}, noResult, ringOpens),
				byCall(rung("tracepoint", append(slices.Clone(changes), endCall), exact{registers: true, cast: true}, noRing, racing, madeUnknown)),
				rung("tp_btf", append(slices.Clone(changes), end), exact{registers: true, cast: true}, noRing, racing, madeUnknown),
				rung("sys_exit", []string{end}, exact{}, noRing, racing, madeUnknown, symlinks),
			},
		}},
	}
}

// byCall has a rung follow the end of the calls that matter, by the kernel's tracepoint for each.
// For all others the kernel looks at a bit, where a program at the end of all calls would run.
func byCall(r kern.Rung) kern.Rung {
	r.Tracepoints = map[string][]string{endCall: ends()}
	r.Limits[slices.Index(r.Limits, anyCall)] = detour
	return r
}

// exact says what of a rung needs no look at names, and what the kernel offers to it: a
// hook can see the registers of the system call, and structs are read by a cast and not
// by helper.
type exact struct{ operations, opens, registers, cast bool }

func rung(name string, programs []string, e exact, limits ...string) kern.Rung {
	return kern.Rung{
		Name: name, Programs: programs, Limits: append([]string{written, failing, anyCall}, limits...),
		Config: map[string]any{
			"cfg_calls": calls(), "cfg_arm64": runtime.GOARCH == "arm64", "cfg_typed": false,
			"cfg_exact": e.operations, "cfg_exact_open": e.opens, "cfg_task_regs": e.registers, "cfg_cast": e.cast,
		},
	}
}
