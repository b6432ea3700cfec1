// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt/render"
)

// numberNames say what a number of a type stands for, "" if they do not know.
var numberNames = map[string]func(int64) string{
	"errno":      func(n int64) string { return unix.ErrnoName(unix.Errno(n)) },
	"signal":     func(n int64) string { return unix.SignalName(unix.Signal(n)) },
	"capability": from(capabilityNames),
	"tcp_state":  from(tcpStateNames),
	"softirq":    from(softirqNames),
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

// spans are units of time.
var spans = map[string]time.Duration{"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond}

// shownAs is a value of a type for people.
func shownAs(of string, v render.Value) string {
	n, isNumber := number(v)
	if !isNumber {
		return oneLine(called(of, v))
	}
	switch {
	case numberNames[of] != nil:
		if n == 0 && (of == "errno" || of == "signal") {
			return "-"
		}
		return or(numberNames[of](n), strconv.FormatInt(n, 10))
	case of == "bool":
		return map[bool]string{true: "yes", false: "no"}[n != 0]
	case of == "address":
		return "0x" + strconv.FormatUint(uint64(n), 16)
	case n < 0 && v.Kind != render.Unsigned:
		return strconv.FormatInt(n, 10)
	case spans[of] != 0 && n < int64(1<<62/spans[of]):
		return formatDuration(time.Duration(n) * spans[of])
	case of == "bytes":
		return formatBytes(uint64(n))
	case of == "kib":
		return formatBytes(uint64(n) << 10)
	case of == "count":
		return formatCount(uint64(n))
	}
	return oneLine(v)
}

// called is the system call that the name of a probe is about, in a column of type call.
func called(of string, v render.Value) render.Value {
	for _, prefix := range []string{"tracepoint:syscalls:sys_enter_", "tracepoint:syscalls:sys_exit_"} {
		if call, ok := strings.CutPrefix(v.Text, prefix); ok && of == "call" {
			v.Text = call
		}
	}
	return v
}

// number is the value of what is one. An enumerator whose name is known is not.
func number(v render.Value) (int64, bool) {
	switch v.Kind {
	case render.Integer, render.Unsigned, render.Bool, render.Average, render.Pointer:
		return v.Int, true
	case render.Enum:
		return v.Int, v.Text == ""
	}
	return 0, false
}

// jsonFields is an object with a member for each value. What a number stands for is a member
// of its own, NAME_name.
func jsonFields(names, types []string, values []render.Value) []byte {
	data := []byte{'{'}
	member := func(name string) {
		if len(data) > 1 {
			data = append(data, ", "...)
		}
		data = append(render.AppendText(data, name), ": "...)
	}
	for i, v := range values {
		v = called(types[i], v)
		member(names[i])
		n, isNumber := number(v)
		switch {
		case types[i] == "bool" && isNumber:
			data = strconv.AppendBool(data, n != 0)
		case types[i] == "address" && isNumber: // more than a double holds
			data = render.AppendText(data, "0x"+strconv.FormatUint(uint64(n), 16))
		case v.Kind == render.Stack:
			data = appendFrames(data, v)
		default:
			data = v.AppendJSON(data)
		}
		name := ""
		if of := numberNames[types[i]]; of != nil && isNumber {
			name = of(n)
		} else if v.Kind == render.Enum {
			name = v.Text
		}
		if name != "" {
			member(names[i] + "_name")
			data = render.AppendText(data, name)
		}
	}
	return append(data, '}')
}

// appendFrames is a stack as a list, the innermost frame first.
func appendFrames(data []byte, v render.Value) []byte {
	data = append(data, '[')
	for i, frame := range v.Frames {
		if i > 0 {
			data = append(data, ", "...)
		}
		one := render.Value{Kind: render.Stack, Frames: []render.Frame{frame}, Form: v.Form}
		data = render.AppendText(data, strings.TrimSpace(one.String()))
	}
	return append(data, ']')
}
