// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// watch is a running sensor, on a private kernel side.
type watch struct {
	kernel *kern.Kernel
	reader *kern.Reader
	flows  *kern.Entries[abi.UdpKey, abi.UdpFlow]
	closed map[uint64]int // sockets, and how often they were told to be
	t      testing.TB
}

func (w *watch) Critical([]byte) {}
func (w *watch) Flush()          {}

func (w *watch) Telemetry(raw []byte) {
	r, err := Decode(raw)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.closed[r.Socket]++
}

// start attaches the sensor on the named rung ("" for the best), and what tells it exec ids.
func start(t testing.TB, rung string, options kern.Options) *watch {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	options.Cgroup2 = skepdtest.Cgroup2(t)
	if rung != "" {
		options.Force = map[string]string{Signal: rung}
	}
	kernel, err := kern.Open(options, process.Sensor(), Sensor())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	processes := process.Sensor()
	processes.Ladders = slices.DeleteFunc(processes.Ladders, func(l kern.Ladder) bool { return l.Signal == "cgroup" || l.Signal == "oom" })
	if _, err := kernel.Attach(processes); err != nil {
		t.Fatal(err)
	}
	signals, err := kernel.Attach(Sensor())
	if err != nil {
		t.Fatal(err)
	}
	if signals[0].Rung == nil {
		t.Fatalf("rung %q does not work here: %v", rung, signals[0].Reports)
	}
	flows, err := kern.NewEntries[abi.UdpKey, abi.UdpFlow](kernel, FlowsMap)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kernel.Reader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return &watch{kernel: kernel, reader: reader, flows: flows, closed: map[uint64]int{}, t: t}
}

// ownNetwork moves this test's goroutine into a network namespace of its own, with a
// loopback interface, and returns the namespace's inode number. The thread ends with it.
func ownNetwork(t testing.TB) uint32 {
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
