// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var trials = slices.Concat(fileTrials, processTrials, socketTrials, cpuTrials, diskTrials, programTrials, kernelTrials)

// same compares the numbers or texts of records with what the generator knows, in any order.
func same(t *testing.T, what string, got []string, want []string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d %.1000q, expected %d %.1000q", what, len(got), got, len(want), want)
	}
}

func is(t *testing.T, what string, got, want int64) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %d, expected %d", what, got, want)
	}
}

func within(t *testing.T, what string, got, least, most int64) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s is %d, expected %d to %d", what, got, least, most)
	}
}

// texts are the records as the columns say, with blanks between.
func texts(records []row, columns ...string) []string {
	var all []string
	for _, r := range records {
		var words []string
		for _, c := range columns {
			words = append(words, fmt.Sprint(r[c]))
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

// named runs fn in a thread of a name, which no other goroutine shares.
func named(comm string, fn func()) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		runtime.LockOSThread() // and never unlocked: the thread ends with it
		if err := os.WriteFile("/proc/thread-self/comm", []byte(comm), 0); err != nil {
			panic(err)
		}
		fn()
	}()
	if failed := <-done; failed != nil {
		panic(failed)
	}
}

// boot is the clock that tools use.
func boot() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}
