// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/skep-io/skep/internal/identity/cgroup"
)

const (
	maxState   = 4 << 20              // bytes of one state.json; real ones have 20-40 KiB
	maxStates  = 16 << 10             // containers in all state directories together
	staleAfter = 5 * time.Millisecond // without a watch: of what was read
)

// DefaultRuncRoots are the state directories of runc and of those that call
// it; each holds <id>/state.json. A "*" stands for a containerd namespace.
var DefaultRuncRoots = []string{"/run/runc", "/run/containerd/runc/*", "/run/docker/runtime-runc/moby"}

// runcStates finds the container of a cgroup whose path has no pattern: runc
// takes any name and any path, and writes both to its state directory before
// the container's program starts. It is not safe for concurrent use.
type runcStates struct {
	hierarchy cgroup.Hierarchy
	roots     []string
	watch     *watch               // nil until Run, or if the kernel refuses
	files     map[string]runcState // by state.json
	paths     map[string]ID        // by cgroup path
	round     uint64               // of refresh
	read      time.Time
	news      bool // a refresh found some that takeNews has not told
}

type runcState struct {
	modified time.Time
	path     string // "" if it has none in this hierarchy
	round    uint64 // in which it was there
	gone     time.Time
}

func newRuncStates(h cgroup.Hierarchy, roots []string) *runcStates {
	return &runcStates{hierarchy: h, roots: roots, files: make(map[string]runcState), paths: make(map[string]ID)}
}

// find returns the container in whose cgroup, or below it, cgroupPath is.
func (r *runcStates) find(cgroupPath string) (ID, bool) { return above(r.paths, cgroupPath) }

// stale tells whether the directories must be read again.
func (r *runcStates) stale(now time.Time) bool {
	if r.watch != nil && r.watch.changed() {
		return true
	}
	watched := r.watch != nil && !r.watch.broken.Load() && !r.read.IsZero()
	return !watched && now.Sub(r.read) >= staleAfter
}

// takeNews tells, once, whether anything was new or changed: a refresh for the sake of one
// cgroup may have found another's.
func (r *runcStates) takeNews() bool {
	news := r.news
	r.news = false
	return news
}

// refresh reads what is new or changed since the last time. What is gone is kept for the
// events that are still under way.
func (r *runcStates) refresh(now time.Time) {
	r.round++
	r.read = now
	for _, pattern := range r.roots {
		r.watch.add(existing(pattern))
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			r.news = r.readRoot(dir) || r.news
		}
	}
	for file, s := range r.files {
		if s.round != r.round {
			r.forget(file, s, now)
		}
	}
}

func (r *runcStates) readRoot(dir string) (changed bool) {
	r.watch.add(dir)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && isName(e.Name()) {
			r.watch.add(filepath.Join(dir, e.Name()))
			changed = r.look(filepath.Join(dir, e.Name(), "state.json")) || changed
		}
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
		s.round, s.gone = r.round, time.Time{}
		r.files[file] = s
		return false
	}
	data, err := readBounded(file, maxState)
	if err != nil {
		return false
	}
	cgroupPath, err := cgroupOfState(data, r.hierarchy)
	if err != nil {
		return false // half-written: another look will tell
	}
	r.disown(file, s.path)
	r.files[file] = runcState{modified: info.ModTime(), path: cgroupPath, round: r.round}
	if cgroupPath != "" {
		r.paths[cgroupPath] = stateID(file)
	}
	return true
}

// forget drops a state some time after its file went.
func (r *runcStates) forget(file string, s runcState, now time.Time) {
	switch {
	case s.gone.IsZero():
		s.gone = now
		r.files[file] = s
	case now.Sub(s.gone) > cgroup.Grace:
		delete(r.files, file)
		r.disown(file, s.path)
	}
}

// disown gives a path up, unless another container has it by now.
func (r *runcStates) disown(file, cgroupPath string) {
	if r.paths[cgroupPath] == stateID(file) {
		delete(r.paths, cgroupPath)
	}
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
		id.Runtime = Docker
	}
	return id
}

// cgroupOfState reads the container's path in our hierarchy from cgroup_paths
// of a state.json: controller to absolute path, "" for v2.
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
	return []string{h.Mount, base + "/" + h.Controller}
}
