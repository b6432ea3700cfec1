// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Scan walks the hierarchy: it adds what events did not tell (all that was
// there before the agent, and what was lost), and removes what is gone.
func (x *Index) Scan() error {
	x.scanning.Lock()
	defer x.scanning.Unlock()
	x.mu.Lock()
	x.round++
	x.stats.Scans++
	x.mu.Unlock()

	err := walk(x.hierarchy, x.Add)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.scanned = x.now()
	if err != nil {
		return fmt.Errorf("scan %s: %w", x.hierarchy, err)
	}
	x.sweep()
	return nil
}

// sweep removes what was there before this round and was not seen in it. An
// entry added by an event meanwhile carries this round and stays.
func (x *Index) sweep() {
	now := x.now()
	for id, e := range x.live {
		if e.round < x.round {
			x.remove(id, now)
		}
	}
	x.bury(now)
}

// walk calls add for each directory below the mount point, the root included.
// Directories that go away meanwhile are no error.
func walk(h Hierarchy, add func(id uint64, path string)) error {
	return fs.WalkDir(os.DirFS(h.Mount), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return skip(name)
		}
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return skip(name)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			add(st.Ino, path.Join(h.Root, name))
		}
		return nil
	})
}

// skip goes on after a directory that vanished; the root must not.
func skip(name string) error {
	if name == "." {
		return fmt.Errorf("read the mount point: %w", fs.ErrNotExist)
	}
	return fs.SkipDir
}
