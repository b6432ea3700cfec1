// SPDX-License-Identifier: Apache-2.0

// Package linuxcap names the capabilities of Linux, as linux/capability.h numbers them. It is a
// leaf: records, tools and whoever shows them call them the same.
package linuxcap

import "strings"

var names = strings.Fields("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
	"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT " +
	"SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP " +
	"MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")

// Name is that of a number, without CAP_; "" if none has it.
func Name(number int64) string {
	if number < 0 || number >= int64(len(names)) {
		return ""
	}
	return names[number]
}
