// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A connect that sends nothing is of its socket's network namespace, not of its process's.
func TestConnectElsewhere(t *testing.T) {
	w := start(t, "")
	if strings.HasPrefix(w.rung.Name, "tp_btf") {
		t.Skip("needs cgroup2: such a connect is not seen without")
	}
	said := play(t, "elsewhere")
	tr := w.until(t, said.port(t, "port"), "the failed connect", func(tr *trace) bool { return len(tr.failed) > 0 })
	if got := uint64(tr.failed[0].Socket.Ends.Netns); got != said.number(t, "netns") {
		t.Errorf("network namespace %d, want %d", got, said.number(t, "netns"))
	}
}

func elsewhere([]string) {
	runtime.LockOSThread()
	check1(unix.Unshare(unix.CLONE_NEWNET))
	var netns unix.Stat_t
	check1(unix.Stat("/proc/thread-self/ns/net", &netns))
	say("netns", netns.Ino)
	fd := socket(unix.AF_INET, 0)
	check1(unix.Unshare(unix.CLONE_NEWNET))
	_, to := address("ipv4", 4245)
	if unix.Connect(fd, to) == nil {
		check1(unix.EISCONN)
	}
	say("port", 4245)
	unix.Close(fd)
}
