// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRelaxTimers: the kernel says it of every thread, of a later one too.
func TestRelaxTimers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: CAP_SYS_NICE for other threads")
	}
	relaxTimers()
	done, hold := make(chan int), make(chan struct{})
	defer close(hold)
	for range 8 {
		go func() {
			runtime.LockOSThread() // each on a thread of its own
			defer runtime.UnlockOSThread()
			done <- unix.Gettid()
			<-hold
		}()
		<-done
	}
	ids := threads()
	if len(ids) < 8 {
		t.Fatalf("%d threads", len(ids))
	}
	for i, id := range ids {
		want := timerSlack
		if i == monitor {
			want = monitorSlack
		}
		text, err := os.ReadFile(slackFile(id))
		if got := strings.TrimSpace(string(text)); err != nil || got != strconv.FormatInt(want.Nanoseconds(), 10) {
			t.Errorf("thread %d has %s ns of slack, want %v: %v", id, got, want, err)
		}
	}
}

// TestMonitor: the thread that is relaxed the most is the one that wakes all the time while
// a goroutine runs, with the kernel's own slack; and then it does not.
func TestMonitor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: CAP_SYS_NICE for other threads")
	}
	thread := threads()[monitor]
	wakes := func(slack time.Duration) int {
		if err := os.WriteFile(slackFile(thread), strconv.AppendInt(nil, slack.Nanoseconds(), 10), 0); err != nil {
			t.Fatal(err)
		}
		before := switches(t, thread)
		for range 20 {
			wait := make(chan struct{})
			go func() {
				defer close(wait)
				_ = unix.Nanosleep(&unix.Timespec{Nsec: 20e6}, nil) // its processor is taken from it
			}()
			for waiting := true; waiting; {
				select {
				case <-wait:
					waiting = false
				default:
				}
			}
		}
		return switches(t, thread) - before
	}
	strict, relaxed := wakes(time.Microsecond), wakes(monitorSlack)
	if relaxed*2 > strict {
		t.Errorf("beside 20 blocking calls the thread waited %d times, and with %v of slack %d times", strict, monitorSlack, relaxed)
	}
}

// switches is how often a thread of this process has begun to wait.
func switches(t *testing.T, thread int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", thread))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("\nvoluntary_ctxt_switches:"))
	line, _, _ := bytes.Cut(text, []byte("\n"))
	n, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
