// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// group is the cgroup of the stage, which looks like a container's.
type group struct {
	dir string
	// limit and usage are its files for memory, in bytes; empty where the hierarchy does not limit it.
	limit, usage string
}

// newGroup makes the cgroup of a container with the given id, in the hierarchy in which the
// agent tells containers apart.
func newGroup(id string) (*group, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	root := hierarchy(string(mounts))
	if root == "" {
		return nil, errors.New("make a cgroup: no cgroup file system is mounted here; mount cgroup2 on /sys/fs/cgroup")
	}
	g := &group{dir: filepath.Join(root, "docker-"+id+".scope")}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	for limit, usage := range map[string]string{"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"} {
		if _, err := os.Stat(filepath.Join(g.dir, limit)); err == nil {
			g.limit, g.usage = filepath.Join(g.dir, limit), filepath.Join(g.dir, usage)
		}
	}
	return g, nil
}

// hierarchy is where that hierarchy is mounted: v2 if it has the controllers, else v1's for
// memory, which is also what the agent prefers.
func hierarchy(mounts string) (found string) {
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		point, kind, options := fields[1], fields[2], strings.Split(fields[3], ",")
		controllers, _ := os.ReadFile(filepath.Join(point, "cgroup.controllers"))
		switch {
		case kind == "cgroup2" && slices.Contains(strings.Fields(string(controllers)), "memory"),
			kind == "cgroup" && slices.Contains(options, "memory"):
			return point
		case kind == "cgroup2":
			found = point
		}
	}
	return found
}

// join moves a process into the cgroup.
func (g *group) join(pid int) error {
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("join the cgroup: %w", err)
	}
	return nil
}

// limitTo leaves room for so many more bytes than are used now.
func (g *group) limitTo(room uint64) error {
	text, err := os.ReadFile(g.usage)
	if err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	used, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return fmt.Errorf("limit memory: %s: %w", g.usage, err)
	}
	// Where there is swap the kernel would use it before it kills.
	_ = os.WriteFile(filepath.Join(g.dir, "memory.swap.max"), []byte("0"), 0)
	if err := os.WriteFile(g.limit, strconv.AppendUint(nil, used+room, 10), 0); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	return nil
}

// remove waits for the cgroup's processes to have gone: a cgroup with one cannot be removed.
func (g *group) remove() error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove the cgroup: %w; rmdir it when its processes have ended", err)
		}
	}
}
