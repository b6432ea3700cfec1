// SPDX-License-Identifier: Apache-2.0

package skepdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockHost waits for every other test that starts an agent that pins, of which there can be
// only one. Closing the file lets the next one go.
func LockHost() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "skep-test-agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the host: %w", err)
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the host: %s: %w", f.Name(), err)
	}
	return f, nil
}

// Object is a BPF object of the kernel: a "link", "prog" or "map", and its id.
type Object struct {
	Kind string
	ID   int
}

// Held lists the objects that processes hold, by what /proc says of their descriptors, some
// of them more than once. What is held by another object only, or pinned, is not among them.
func Held() []Object {
	var all []Object
	files, _ := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just been closed
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			kind, isID := strings.CutSuffix(key, "_id")
			id, err := strconv.Atoi(strings.TrimSpace(value))
			if isID && err == nil && slices.Contains([]string{"link", "prog", "map"}, kind) {
				all = append(all, Object{kind, id})
			}
		}
	}
	return all
}
