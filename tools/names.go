// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/linuxcap"
)

// numberNames say what a number of a type stands for, "" if they do not know.
var numberNames = map[string]func(int64) string{
	"errno":      func(n int64) string { return unix.ErrnoName(unix.Errno(n)) },
	"signal":     func(n int64) string { return unix.SignalName(unix.Signal(n)) },
	"capability": linuxcap.Name,
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

// Names of the kernel's, by their numbers: include/net/tcp_states.h and include/linux/interrupt.h.
var (
	tcpStateNames = append([]string{""}, strings.Fields("ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT "+
		"LAST_ACK LISTEN CLOSING NEW_SYN_RECV BOUND_INACTIVE")...)
	softirqNames = strings.Fields("HI TIMER NET_TX NET_RX BLOCK IRQ_POLL TASKLET SCHED HRTIMER RCU")
)
