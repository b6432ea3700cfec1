// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/linuxcap"
)

// Body is the public record, but for the target, which the process table knows: see Target.
func (e *Event) Body() *skepv1.HostCall {
	call := abi.HostCall(e.Call)
	b := &skepv1.HostCall{Call: callNames[call], TextCut: e.Has(abi.HostCut)}
	if e.Has(abi.HostHasResult) && e.Result < 0 && e.Result >= -maxErrno && call != abi.HostSetfsuid && call != abi.HostSetfsgid {
		b.Error, b.ErrorName = uint32(-e.Result), unix.ErrnoName(unix.Errno(-e.Result))
	}
	switch call {
	case abi.HostPtrace:
		b.Request, b.TargetPid, b.TargetPidNested = request(e.Arguments[0]), uint32(e.Arguments[1]), e.Has(abi.HostNested)
	case abi.HostMount, abi.HostUmount, abi.HostMoveMount, abi.HostPivotRoot:
		b.Source, b.Path, b.Fstype = e.Texts[0], e.Texts[1], e.Texts[2]
		b.Flags = flagNames(mountNames[call], uint32(e.Arguments[3]))
	case abi.HostSetns, abi.HostUnshare:
		b.Namespaces, b.NamespaceInode = namespaces(e.Arguments[0]), uint32(e.Arguments[1])
	case abi.HostModuleLoad, abi.HostModuleUnload:
		b.Name = e.Texts[0]
	case abi.HostBpfLoad:
		b.Name, b.ProgramType = e.Texts[0], programType(e.Arguments[0])
	case abi.HostKill:
		b.Signal, b.Delivery = uint32(e.Arguments[0]), e.delivery()
		b.SignalName = signalName(b.Signal)
	case abi.HostMemfdCreate:
		b.Name, b.Flags = e.Texts[0], flagNames(memfdNames, uint32(e.Arguments[0]))
	case abi.HostCapability:
		b.Capability, b.UserNamespace = capability(e.Arguments[0]), uint32(e.Arguments[1])
	default:
		e.setIDs(b)
	}
	return b
}

// maxErrno is MAX_ERRNO of the kernel: what is below is no error.
const maxErrno = 4095

func (e *Event) delivery() string {
	if e.Result < 0 {
		return "refused"
	}
	switch e.Arguments[1] { // TRACE_SIGNAL_* of the kernel
	case 1:
		return "ignored"
	case 2:
		return "pending"
	case 3:
		return "overflow"
	}
	return "delivered" // 4: without what was to come with it
}

// idArguments is how many ids each call of its kind takes.
var idArguments = map[abi.HostCall]int{
	abi.HostSetuid: 1, abi.HostSetreuid: 2, abi.HostSetresuid: 3, abi.HostSetfsuid: 1,
	abi.HostSetgid: 1, abi.HostSetregid: 2, abi.HostSetresgid: 3, abi.HostSetfsgid: 1,
}

func (e *Event) setIDs(b *skepv1.HostCall) {
	if e.Has(abi.HostRequested) {
		var requested []string
		for i := range idArguments[abi.HostCall(e.Call)] {
			requested = append(requested, id(uint32(e.Arguments[i])))
		}
		b.Requested = strings.Join(requested, ":")
	}
	b.IdsAfter = ids4(e.After)
	if e.Has(abi.HostHasBefore) {
		b.IdsBefore = ids4(e.Before)
	}
}

// id is empty for one that stays as it is.
func id(n uint32) string {
	if n == ^uint32(0) {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

func ids4(ids abi.HostIds) string {
	var all []string
	for _, n := range []uint32{ids.Real, ids.Effective, ids.Saved, ids.Filesystem} {
		all = append(all, strconv.FormatUint(uint64(n), 10))
	}
	return strings.Join(all, ":")
}

func request(n uint64) string {
	switch n {
	case unix.PTRACE_TRACEME:
		return "PTRACE_TRACEME"
	case unix.PTRACE_ATTACH:
		return "PTRACE_ATTACH"
	case unix.PTRACE_SEIZE:
		return "PTRACE_SEIZE"
	}
	return "PTRACE(" + strconv.FormatUint(n, 10) + ")"
}

func signalName(n uint32) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return "SIG" + strconv.FormatUint(uint64(n), 10) // real-time
}

// namespaces are the kinds of CLONE_NEW*, as /proc/PID/ns has them.
func namespaces(flags uint64) (kinds []string) {
	for _, n := range namespaceNames {
		if uint32(flags)&n.bits != 0 {
			kinds = append(kinds, n.name)
		}
	}
	return kinds
}

func programType(n uint64) string {
	if n < uint64(len(programTypes)) {
		return programTypes[n]
	}
	return "type(" + strconv.FormatUint(n, 10) + ")"
}

func capability(n uint64) string {
	if name := linuxcap.Name(int64(n)); name != "" {
		return "CAP_" + name
	}
	return "CAP_" + strconv.FormatUint(n, 10)
}

// flagNames writes bits as names, and the rest as a number.
func flagNames(names []flagName, bits uint32) string {
	var parts []string
	for _, n := range names {
		if n.bits&bits != 0 {
			parts = append(parts, n.name)
			bits &^= n.bits
		}
	}
	if bits != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(uint64(bits), 16))
	}
	return strings.Join(parts, "|")
}
