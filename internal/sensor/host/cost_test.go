// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// BenchmarkTax is what a system call costs that no group wants: without the sensor, and with
// some of its groups.
func BenchmarkTax(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: loads BPF programs")
	}
	for _, groups := range [][]string{nil, {"kill", "capability"}, {"memfd"}, {"setuid"}, Groups()} {
		b.Run(strings.Join(append([]string{"of"}, groups...), "_"), func(b *testing.B) {
			follow(b, groups)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b.Loop() {
				unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
		})
	}
}

func follow(b *testing.B, groups []string) {
	b.Helper()
	kernel, err := kern.Open(kern.Options{}, process.Sensor(), Sensor())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { kernel.Close() })
	on, _ := Plan(groups)
	signals, err := kernel.Attach(on)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range signals {
		if s.Rung == nil || !Shares(s.Rung.Name) {
			continue
		}
		if _, err := kernel.Attach(Shared()); err != nil {
			b.Fatal(err)
		}
		return
	}
}
