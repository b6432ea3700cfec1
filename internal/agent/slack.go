// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// timerSlack is how late the kernel may end a wait of this process; its default is 50 µs.
// The ticks of the rings are 50 ms, and the shortest waits are for what may take longer.
const timerSlack = 500 * time.Microsecond

// monitorSlack is that of the Go runtime's own clock (sysmon), which sleeps for 20 µs at a
// time while any goroutine runs, and with timerSlack makes two in five of the context switches of
// an agent under load. It takes a processor from a goroutine that has been in a system call
// for 20 µs, or has run for 10 ms, while others wait for one: they wait this much longer. A
// ring asks for its reader when an eighth of it is full.
const monitorSlack = 5 * time.Millisecond

// relaxEvery is how often all threads are given their slack: a thread inherits that of the one
// which starts it, and the monitor starts some.
const relaxEvery = 10 * time.Second

// keepRelaxed gives threads that have come since their slack, until ctx ends.
func keepRelaxed(ctx context.Context) error {
	tick := time.NewTicker(relaxEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			relaxTimers()
		}
	}
}

// relaxTimers gives all threads their slack. Without CAP_SYS_NICE they keep the default, which
// costs only the CPU.
func relaxTimers() {
	for i, id := range threads() {
		slack := timerSlack
		if i == monitor {
			slack = monitorSlack
		}
		_ = os.WriteFile(slackFile(id), strconv.AppendInt(nil, slack.Nanoseconds(), 10), 0)
	}
}

// monitor is sysmon's place among the threads of a Go program: the runtime starts it before
// any other. If that changes, another thread is late by as much, and TestMonitor tells.
const monitor = 1

// threads are the ids of this process's threads in the order in which they were started.
func threads() []int {
	entries, _ := os.ReadDir("/proc/self/task")
	var ids []int
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	// The kernel's numbers begin again at some time: those below the first thread's are later ones.
	since := func(id int) uint32 { return uint32(id - os.Getpid()) }
	slices.SortFunc(ids, func(a, b int) int { return cmp.Compare(since(a), since(b)) })
	return ids
}

func slackFile(thread int) string { return fmt.Sprintf("/proc/%d/timerslack_ns", thread) }
