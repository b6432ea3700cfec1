// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

const (
	maxState  = 4 << 20  // bytes of one state.json; real ones have 20-40 KiB
	maxStates = 16 << 10 // containers in all state directories together
)

// DefaultRuncRoots are the state directories of runc and of those that call
// it; each holds <id>/state.json. A "*" stands for a containerd namespace.
var DefaultRuncRoots = []string{"/run/runc", "/run/containerd/runc/*", "/run/docker/runtime-runc/moby"}

// runcStates finds the container of a cgroup whose path has no pattern: runc
// takes any name and any path, and writes both to its state directory before
// the container's program starts.
type runcStates struct {
	hierarchy cgroup.Hierarchy
	roots     []string

	mu    sync.Mutex
	files map[string]runcState // by state.json
	paths map[string]ID        // by cgroup path
}

type runcState struct {
	modified time.Time
	path     string // "" if it has none in this hierarchy
	seen     bool
}

func newRuncStates(h cgroup.Hierarchy, roots []string) *runcStates {
	return &runcStates{hierarchy: h, roots: roots, files: make(map[string]runcState), paths: make(map[string]ID)}
}

// find returns the container in whose cgroup, or below it, cgroupPath is.
func (r *runcStates) find(cgroupPath string) (ID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := cgroupPath; p != "/" && p != "."; p = path.Dir(p) {
		if id, ok := r.paths[p]; ok {
			return id, true
		}
	}
	return ID{}, false
}

// refresh reads what is new or changed since the last time: one readdir per
// root and one stat per container. It reports whether anything changed.
func (r *runcStates) refresh() (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pattern := range r.roots {
		files, _ := filepath.Glob(filepath.Join(pattern, "*", "state.json"))
		for _, file := range files {
			changed = r.look(file) || changed
		}
	}
	for file, s := range r.files {
		if !s.seen {
			delete(r.files, file)
			delete(r.paths, s.path)
			changed = true
			continue
		}
		s.seen = false
		r.files[file] = s
	}
	return changed
}

func (r *runcStates) look(file string) (changed bool) {
	info, err := os.Stat(file)
	if err != nil || len(r.files) >= maxStates {
		return false
	}
	s, known := r.files[file]
	if known && s.modified.Equal(info.ModTime()) {
		s.seen = true
		r.files[file] = s
		return false
	}
	cgroupPath, err := r.read(file)
	if err != nil {
		return false // half-written, or going away: another look will tell
	}
	r.files[file] = runcState{modified: info.ModTime(), path: cgroupPath, seen: true}
	if id := stateID(file); cgroupPath != "" && isName(id.ID) {
		delete(r.paths, s.path)
		r.paths[cgroupPath] = id
	}
	return true
}

// stateID names the container after its directory, as runc does.
func stateID(file string) ID {
	dir := filepath.Dir(file)
	root := filepath.Dir(dir)
	id := ID{Runtime: Runc, ID: filepath.Base(dir)}
	if strings.HasSuffix(filepath.Dir(root), "/containerd/runc") {
		id.Runtime, id.Namespace = Containerd, filepath.Base(root)
	}
	if strings.HasSuffix(root, "/moby") {
		id.Runtime, id.Namespace = Docker, ""
	}
	return id
}

// read takes the container's path in our hierarchy from its state.json.
func (r *runcStates) read(file string) (string, error) {
	data, err := readBounded(file, maxState)
	if err != nil {
		return "", err
	}
	return cgroupOfState(data, r.hierarchy)
}

// cgroupOfState reads cgroup_paths: controller to absolute path, "" for v2.
func cgroupOfState(data []byte, h cgroup.Hierarchy) (string, error) {
	var state struct {
		Paths map[string]string `json:"cgroup_paths"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return "", fmt.Errorf("parse runc state: %w", err)
	}
	full, ok := state.Paths[h.Controller]
	if !ok || len(full) > 4096 {
		return "", nil
	}
	for _, mount := range usualMounts(h) {
		if rest, ok := strings.CutPrefix(full, mount); ok && strings.HasPrefix(rest, "/") && rest != "/" {
			return path.Join(h.Root, rest), nil
		}
	}
	return "", nil
}

// usualMounts are where runc may see the hierarchy: where we do, or, if we are
// in a container, where hosts have it.
func usualMounts(h cgroup.Hierarchy) []string {
	const base = "/sys/fs/cgroup"
	if h.Version == 2 {
		return []string{h.Mount, base + "/unified", base}
	}
	return []string{h.Mount, base + "/" + strings.TrimPrefix(h.Controller, "name=")}
}
