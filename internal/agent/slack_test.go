// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

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
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(threads) < 8 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile("/proc/" + filepath.Base(thread) + "/timerslack_ns")
		if got := strings.TrimSpace(string(text)); err != nil || got != strconv.FormatInt(timerSlack.Nanoseconds(), 10) {
			t.Errorf("thread %s has %s ns of slack, %v", thread, got, err)
		}
	}
}
