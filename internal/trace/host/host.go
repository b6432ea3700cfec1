// SPDX-License-Identifier: Apache-2.0

// Package host tells the tracing language of the machine that it runs on: a [bt.Host] that
// asks the kernel, its BTF and executables through internal/kern, and keeps what it has read
// for a while only.
package host

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/kern/ctype"
	"github.com/skep-io/skep/internal/kern/executable"
	"github.com/skep-io/skep/internal/kern/kallsyms"
	"github.com/skep-io/skep/internal/kern/tracefs"
)

// Host is the running machine. It is for any number of goroutines.
type Host struct {
	// Types, Symbols and Files are shared with whoever loads programs and shows stacks.
	Types   *ctype.Kernel
	Symbols *kallsyms.Table
	Files   *executable.Cache

	features *kern.Features
	cgroup2  string
	machine  func() bt.Machine
	mutex    sync.Mutex
	tracefs  *tracefs.FS
}

// New looks at nothing yet. cgroup2 is where the cgroup2 root is mounted, or "".
func New(cgroup2 string) *Host {
	types := &ctype.Kernel{}
	h := &Host{Types: types, Symbols: &kallsyms.Table{}, Files: &executable.Cache{}, features: kern.NewFeatures(types), cgroup2: cgroup2}
	h.machine = sync.OnceValue(h.readMachine)
	return h
}

// Close lets go of the tracing filesystem.
func (h *Host) Close() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.tracefs == nil {
		return nil
	}
	err := h.tracefs.Close()
	h.tracefs = nil
	return err
}

func (h *Host) fs() (*tracefs.FS, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.tracefs == nil {
		fs, err := tracefs.Open()
		if err != nil {
			return nil, err
		}
		h.tracefs = fs
	}
	return h.tracefs, nil
}

// Hook is what programs of a kind are to the kernel.
func Hook(kind bt.ProbeKind) kern.Hook { return hooks[kind] }

var hooks = map[bt.ProbeKind]kern.Hook{
	bt.Begin: kern.OnDemand, bt.End: kern.OnDemand, bt.Self: kern.OnDemand,
	bt.Interval: kern.Every, bt.Profile: kern.Clock,
	bt.Tracepoint: kern.Tracepoint, bt.RawTracepoint: kern.RawTracepoint,
	bt.Kprobe: kern.Kprobe, bt.Kretprobe: kern.Kretprobe, bt.Fentry: kern.Fentry, bt.Fexit: kern.Fexit,
	bt.Uprobe: kern.Uprobe, bt.Uretprobe: kern.Uretprobe, bt.USDT: kern.Uprobe,
	bt.Iterator: kern.Iterator, bt.Software: kern.SoftwareEvent, bt.Hardware: kern.HardwareEvent,
	bt.Watchpoint: kern.Breakpoint, bt.AsyncWatchpoint: kern.Breakpoint,
}

// AttachCookie is the number of the helper bpf_get_attach_cookie.
const AttachCookie = 174

// Machine implements [bt.Host].
func (h *Host) Machine() bt.Machine { return h.machine() }

func (h *Host) readMachine() bt.Machine {
	m := bt.Machine{
		Arch: runtime.GOARCH, CPUs: 1, PageSize: os.Getpagesize(), CPUv4: h.features.CPUv4(),
		Cookies:        map[bt.ProbeKind]bool{},
		TypedArguments: map[bt.ProbeKind]bool{bt.RawTracepoint: true, bt.Fentry: true, bt.Fexit: true, bt.Iterator: true},
	}
	if n, err := kern.CPUs(); err == nil {
		m.CPUs = n
	}
	for _, kind := range []bt.ProbeKind{bt.Tracepoint, bt.Kprobe, bt.Kretprobe, bt.Uprobe, bt.Uretprobe, bt.USDT, bt.Software, bt.Hardware, bt.Profile, bt.Interval} {
		m.Cookies[kind] = h.features.Helper(AttachCookie, hooks[kind])
	}
	return m
}

// Helper implements [bt.Host].
func (h *Host) Helper(number int64, kind bt.ProbeKind) bool {
	return h.features.Helper(number, hooks[kind])
}

// KernelSymbol implements [bt.Host].
func (h *Host) KernelSymbol(name string) (uint64, bool) {
	address, err := h.Symbols.Address(name)
	return address, err == nil
}

// UserSymbol implements [bt.Host].
func (h *Host) UserSymbol(binary, name string) (address, size uint64, ok bool) {
	f, err := h.Files.Open(binary)
	if err != nil {
		return 0, 0, false
	}
	s, ok := f.Symbol(name)
	return s.Address, s.Size, ok
}

// CgroupID implements [bt.Host]: the path may be in the filesystem, or from the cgroup2 root.
func (h *Host) CgroupID(path string) (uint64, bool) {
	for _, p := range []string{path, h.cgroup2 + "/" + strings.TrimPrefix(path, "/")} {
		var stat unix.Statfs_t
		if unix.Statfs(p, &stat) != nil || stat.Type != unix.CGROUP2_SUPER_MAGIC && stat.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, p, 0)
		if err == nil && handle.Size() == 8 { // the kernfs id
			id := uint64(0)
			for i, b := range handle.Bytes() {
				id |= uint64(b) << (8 * i)
			}
			return id, true
		}
	}
	return 0, false
}

// Check says why there is nothing of a kind here, and what would serve.
func (h *Host) Check(kind bt.ProbeKind) error {
	if err := h.features.Hook(hooks[kind]); err != nil {
		return fmt.Errorf("nothing to attach to: %w", err)
	}
	return nil
}
