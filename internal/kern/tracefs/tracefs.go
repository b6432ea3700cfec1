// SPDX-License-Identifier: Apache-2.0

// Package tracefs reads what the kernel's tracing filesystem says of tracepoints and of
// functions that can be probed.
//
// Where nobody has mounted it, it is mounted for this process alone: such a mount is a
// descriptor (fsmount(2)) that is in no namespace's tree, so that nothing on the host changes.
package tracefs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FS is the filesystem. It is for any number of goroutines.
type FS struct {
	dir   string
	mount *os.File // nil if somebody has mounted it
}

// places where it is mounted if it is.
var places = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// Open finds or mounts the filesystem.
func Open() (*FS, error) {
	for _, dir := range places {
		var stat unix.Statfs_t
		if unix.Statfs(dir, &stat) == nil && stat.Type == unix.TRACEFS_MAGIC {
			return &FS{dir: dir}, nil
		}
	}
	mount, err := detached()
	if err != nil {
		return nil, fmt.Errorf("mount tracefs: %w; mount it at %s", err, places[0])
	}
	return &FS{dir: fmt.Sprintf("/proc/self/fd/%d", mount.Fd()), mount: mount}, nil
}

// detached is a mount that is nowhere (5.2).
func detached() (*os.File, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tracefs"), nil
}

// Close lets go of it.
func (f *FS) Close() error {
	if f.mount == nil {
		return nil
	}
	return f.mount.Close()
}

// Event is a tracepoint's name.
type Event struct{ Category, Name string }

// Events lists all tracepoints, in the kernel's order.
func (f *FS) Events() ([]Event, error) {
	var events []Event
	err := f.lines("available_events", func(line string) {
		if category, name, ok := strings.Cut(line, ":"); ok {
			events = append(events, Event{category, name})
		}
	})
	return events, err
}

// Functions calls fn with the name of every function that the kernel lets be probed by its
// tracer, and with its module, "" for the kernel's own.
func (f *FS) Functions(fn func(name, module string)) error {
	return f.lines("available_filter_functions", func(line string) {
		name, module, _ := strings.Cut(line, " ")
		fn(name, strings.Trim(module, "[]"))
	})
}

func (f *FS) lines(name string, fn func(string)) error {
	file, err := os.Open(filepath.Join(f.dir, name))
	if err != nil {
		return fmt.Errorf("read tracefs: %w", err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		fn(scanner.Text())
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read %s of tracefs: %w", name, err)
	}
	return nil
}

// read reads a file of a tracepoint, whose names must be no way out of the directory.
func (f *FS) read(category, event, name string) ([]byte, error) {
	for _, part := range []string{category, event} {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "/\x00") {
			return nil, fmt.Errorf("read tracepoint %s:%s: %w", category, event, os.ErrNotExist)
		}
	}
	text, err := os.ReadFile(filepath.Join(f.dir, "events", category, event, name))
	if err != nil {
		return nil, fmt.Errorf("read tracepoint %s:%s: %w", category, event, err)
	}
	return text, nil
}

// ID is the number by which perf_event_open knows a tracepoint. The error wraps
// [os.ErrNotExist] if there is no such tracepoint.
func (f *FS) ID(category, event string) (uint64, error) {
	text, err := f.read(category, event, "id")
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read number of tracepoint %s:%s: %w", category, event, err)
	}
	return id, nil
}

// Format is what a tracepoint's record consists of. The error wraps [os.ErrNotExist] if
// there is no such tracepoint.
func (f *FS) Format(category, event string) ([]Field, error) {
	text, err := f.read(category, event, "format")
	if err != nil {
		return nil, err
	}
	return ParseFormat(string(text)), nil
}
