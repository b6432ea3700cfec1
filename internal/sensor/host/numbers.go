// SPDX-License-Identifier: Apache-2.0

package host

import (
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
)

// noCall is the number of no system call.
const noCall = ^uint32(0)

// systemCalls is SYSTEM_CALLS of bpf/host.
const systemCalls = 512

// numbers are the system calls on this architecture, by number: cfg_calls of bpf/host.
func numbers() (table [systemCalls]uint8) {
	for call, number := range [abi.Calls]int{
		abi.CallPtrace: unix.SYS_PTRACE,
		abi.CallMount:  unix.SYS_MOUNT, abi.CallUmount: unix.SYS_UMOUNT2, abi.CallMoveMount: unix.SYS_MOVE_MOUNT, abi.CallPivotRoot: unix.SYS_PIVOT_ROOT,
		abi.CallSetns: unix.SYS_SETNS, abi.CallUnshare: unix.SYS_UNSHARE,
		abi.CallBpf:    unix.SYS_BPF,
		abi.CallSetuid: unix.SYS_SETUID, abi.CallSetreuid: unix.SYS_SETREUID, abi.CallSetresuid: unix.SYS_SETRESUID, abi.CallSetfsuid: unix.SYS_SETFSUID,
		abi.CallSetgid: unix.SYS_SETGID, abi.CallSetregid: unix.SYS_SETREGID, abi.CallSetresgid: unix.SYS_SETRESGID, abi.CallSetfsgid: unix.SYS_SETFSGID,
		abi.CallMemfdCreate: unix.SYS_MEMFD_CREATE,
	} {
		if call != int(abi.CallNone) {
			table[number] = uint8(call)
		}
	}
	return table
}

// queueCalls are the system calls that may give a signal the code of another: cfg_queue_calls.
func queueCalls() [3]uint32 {
	return [3]uint32{unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_SEND_SIGNAL}
}

// memoryCalls are those that map memory: cfg_memory_calls.
func memoryCalls() [12]uint32 {
	all := [12]uint32{
		unix.SYS_MMAP, unix.SYS_BRK, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXECVE, unix.SYS_EXECVEAT,
		unix.SYS_SHMGET, noCall, noCall, noCall,
	}
	copy(all[9:], olderMemoryCalls)
	return all
}
