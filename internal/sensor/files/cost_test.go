// SPDX-License-Identifier: Apache-2.0

package files

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/sensor/process"
)

// BenchmarkUnwatched is what openat and close of a path cost that is not watched: without
// the sensor, with programs at its hooks that do nothing, and with it on each rung.
func BenchmarkUnwatched(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: loads BPF programs")
	}
	path := filepath.Join(b.TempDir(), "a/b/c/file")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	for name, flags := range map[string]int{"read": unix.O_RDONLY, "write": unix.O_WRONLY} {
		b.Run(name+"/none", func(b *testing.B) { openAndClose(b, path, flags) })
		for _, hooks := range [][]string{{"sys_exit"}, {"sys_exit", "security_file_open"}} {
			b.Run(name+"/empty/"+hooks[len(hooks)-1], func(b *testing.B) {
				for _, hook := range hooks {
					empty(b, hook)
				}
				openAndClose(b, path, flags)
			})
		}
		for _, r := range Sensor().Ladders[0].Rungs {
			b.Run(name+"/"+r.Name, func(b *testing.B) {
				watchElsewhere(b, r.Name)
				openAndClose(b, path, flags)
			})
		}
	}
}

func openAndClose(b *testing.B, path string, flags int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		fd, err := unix.Openat(unix.AT_FDCWD, path, flags, 0)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(fd)
	}
}

// empty attaches a program that does nothing.
func empty(b *testing.B, hook string) {
	b.Helper()
	attach := ebpf.AttachTraceFEntry
	if hook == "sys_exit" {
		attach = ebpf.AttachTraceRawTp
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "empty", Type: ebpf.Tracing, AttachType: attach, AttachTo: hook, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		b.Skipf("needs %s: %v", hook, err)
	}
	b.Cleanup(func() { program.Close() })
	l, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		b.Skipf("needs %s: %v", hook, err)
	}
	b.Cleanup(func() { l.Close() })
}

// watchElsewhere runs the sensor with two watched paths.
func watchElsewhere(b *testing.B, rung string) {
	b.Helper()
	kernel, err := kern.Open(kern.Options{Force: map[string]string{Signal: rung}}, process.Sensor(), Sensor())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { kernel.Close() })
	mounts, err := ReadMounts()
	if err != nil {
		b.Fatal(err)
	}
	defer mounts.Close()
	plan := NewPlan([]string{"/etc", "/root"}, mounts)
	for _, err := range []error{
		kern.Put(kernel, "file_objects", plan.Objects), kern.Put(kernel, "file_names", plan.Names),
		kern.Put(kernel, "file_prefixes", plan.Prefixes), kern.Put(kernel, "file_filter", map[uint32]abi.FileFilter{0: plan.Filter}),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	signals, err := kernel.Attach(Sensor())
	if err != nil {
		b.Fatal(err)
	}
	if signals[0].Rung == nil {
		b.Skipf("needs the rung %s, which does not work here", rung)
	}
}
