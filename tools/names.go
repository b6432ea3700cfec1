// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"strings"

	"golang.org/x/sys/unix"
)

// numberNames say what a number of a type stands for, "" if they do not know.
var numberNames = map[string]func(int64) string{
	"errno":      func(n int64) string { return unix.ErrnoName(unix.Errno(n)) },
	"signal":     func(n int64) string { return unix.SignalName(unix.Signal(n)) },
	"capability": from(capabilityNames),
	"tcp_state":  from(tcpStateNames),
	"softirq":    from(softirqNames),
	"syscall":    SyscallName,
}

// NumberName is the name of what a number of a type stands for, "" where it has none. named
// is false for a type whose numbers are just numbers.
func NumberName(of string, number int64) (name string, named bool) {
	names := numberNames[of]
	if names == nil {
		return "", false
	}
	return names(number), true
}

func from(names []string) func(int64) string {
	return func(n int64) string {
		if n < 0 || n >= int64(len(names)) {
			return ""
		}
		return names[n]
	}
}

// Names of the kernel's, by their numbers: include/uapi/linux/capability.h,
// include/net/tcp_states.h and include/linux/interrupt.h.
var (
	capabilityNames = strings.Fields("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
		"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT " +
		"SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP " +
		"MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")
	tcpStateNames = append([]string{""}, strings.Fields("ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT "+
		"LAST_ACK LISTEN CLOSING NEW_SYN_RECV BOUND_INACTIVE")...)
	softirqNames = strings.Fields("HI TIMER NET_TX NET_RX BLOCK IRQ_POLL TASKLET SCHED HRTIMER RCU")
)
