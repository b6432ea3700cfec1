// SPDX-License-Identifier: Apache-2.0

package linuxcap

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestName: each number that golang.org/x/sys has a name for, and no other.
func TestName(t *testing.T) {
	for number, want := range map[int64]string{
		unix.CAP_CHOWN: "CHOWN", unix.CAP_SETPCAP: "SETPCAP", unix.CAP_NET_ADMIN: "NET_ADMIN", unix.CAP_SYS_ADMIN: "SYS_ADMIN", unix.CAP_SYS_PTRACE: "SYS_PTRACE",
		unix.CAP_SETFCAP: "SETFCAP", unix.CAP_SYSLOG: "SYSLOG", unix.CAP_BPF: "BPF", unix.CAP_CHECKPOINT_RESTORE: "CHECKPOINT_RESTORE", -1: "", unix.CAP_LAST_CAP + 1: "",
	} {
		if got := Name(number); got != want {
			t.Errorf("%d is %q, want %q", number, got, want)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d capabilities have names, there are %d", len(names), unix.CAP_LAST_CAP+1)
	}
}
