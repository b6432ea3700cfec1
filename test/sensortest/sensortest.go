// SPDX-License-Identifier: Apache-2.0

// Package sensortest is what the tests of the sensors have in common: a sensor that runs
// beside that of processes, and a network of one's own.
package sensortest

import (
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// Start attaches a sensor and what tells it exec ids, until the test ends. It skips without
// root; a signal without a rung is for the caller to judge.
func Start(t testing.TB, sensor kern.Sensor, options kern.Options) (*kern.Kernel, *kern.Reader, []kern.Signal) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	kernel, err := kern.Open(options, process.Sensor(), sensor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	processes := process.Sensor()
	processes.Ladders = slices.DeleteFunc(processes.Ladders, func(l kern.Ladder) bool { return l.Signal == "cgroup" || l.Signal == "oom" })
	if _, err := kernel.Attach(processes); err != nil {
		t.Fatal(err)
	}
	signals, err := kernel.Attach(sensor)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kernel.Reader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return kernel, reader, signals
}

// WantRungs fails the test if a signal has no rung, and says why none works.
func WantRungs(t testing.TB, signals []kern.Signal) {
	t.Helper()
	for _, s := range signals {
		if s.Rung != nil {
			continue
		}
		for _, r := range s.Reports {
			t.Logf("%s: rung %s: %s: %s", s.Ladder.Signal, r.Name, r.State, r.Reason)
		}
		t.Fatalf("no rung of %s that may be used works here", s.Ladder.Signal)
	}
}

// OwnNetwork moves this test's goroutine into a network namespace of its own, with a
// loopback interface, and returns the namespace's inode number. The thread ends with it.
func OwnNetwork(t testing.TB) uint32 {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		t.Fatal(err)
	}
	return uint32(stat.Ino)
}
