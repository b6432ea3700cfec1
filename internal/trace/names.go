// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt/render"
	"github.com/skep-io/skep/internal/trace/host"
)

// names looks up what numbers stand for, for one session and one goroutine. It remembers
// what does not change, up to a bound, and processes for a short while.
type names struct {
	host      *host.Host
	identity  Identity // or nil
	users     map[uint32]string
	processes map[int]*mappings
	cgroups   map[uint64][]hierarchy
	walked    time.Time
	refreshed bool
}

// mappings are the executable parts of a process's memory.
type mappings struct {
	read  time.Time
	areas []area
}

type area struct {
	start, end, offset uint64
	path               string
}

// hierarchy is a cgroup's place in one of the hierarchies that may have one of that number.
type hierarchy struct{ name, path string }

const (
	mappingsFor   = time.Second
	cgroupsFor    = time.Second
	mostProcesses = 1024
	mostUsers     = 4096
	mostCgroups   = 65536
)

func newNames(h *host.Host, identity Identity) *names {
	return &names{host: h, identity: identity, users: map[uint32]string{}, processes: map[int]*mappings{}}
}

// kernel names an address of the kernel. The script's own programs are younger than symbols
// that were read before.
func (n *names) kernel(address uint64) render.Frame {
	if !n.refreshed {
		n.host.Symbols.Refresh()
		n.refreshed = true
	}
	f := render.Frame{Address: address}
	if s, offset, ok := n.host.Symbols.At(address); ok && address>>63 == 1 {
		f.Name, f.Offset, f.Module = s.Name, offset, s.Module
	}
	return f
}

// process names an address in a process, if that is still there.
func (n *names) process(pid int, address uint64) render.Frame {
	f := render.Frame{Address: address, User: true}
	for _, a := range n.areas(pid) {
		if address < a.start || address >= a.end {
			continue
		}
		f.Module = a.path
		file, err := n.host.Files.Open(fmt.Sprintf("/proc/%d/root%s", pid, a.path))
		if err != nil {
			break
		}
		linked, ok := file.Address(address - a.start + a.offset)
		if !ok {
			break
		}
		if s, offset, ok := file.At(linked); ok {
			f.Name, f.Offset = host.Demangled(s.Name), offset
		}
		break
	}
	return f
}

func (n *names) areas(pid int) []area {
	m := n.processes[pid]
	if m != nil && time.Since(m.read) < mappingsFor {
		return m.areas
	}
	if len(n.processes) >= mostProcesses {
		clear(n.processes)
	}
	fresh := &mappings{read: time.Now(), areas: readAreas(pid)}
	if len(fresh.areas) == 0 && m != nil { // it has ended: what it was is still worth knowing
		fresh.areas = m.areas
	}
	n.processes[pid] = fresh
	return fresh.areas
}

// readAreas reads /proc/PID/maps: "start-end rwxp offset device inode path".
func readAreas(pid int) []area {
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil
	}
	defer file.Close()
	var out []area
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		parts := strings.Fields(scanner.Text())
		if len(parts) < 6 || !strings.Contains(parts[1], "x") || !strings.HasPrefix(parts[5], "/") {
			continue
		}
		start, end, _ := strings.Cut(parts[0], "-")
		var a area
		for text, to := range map[string]*uint64{start: &a.start, end: &a.end, parts[2]: &a.offset} {
			*to, _ = strconv.ParseUint(text, 16, 64)
		}
		a.path = strings.Join(parts[5:], " ")
		out = append(out, a)
	}
	return out
}

// user is the name of a user on the agent's host.
func (n *names) user(id uint32) string {
	if name, ok := n.users[id]; ok {
		return name
	}
	if len(n.users) >= mostUsers {
		clear(n.users)
	}
	name := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	n.users[id] = name
	return name
}

// cgroup is where the cgroups with a number are: "unified:/a/b", one for each hierarchy that
// has such a number and whose name the filter, a pattern of the shell, lets through.
func (n *names) cgroup(id uint64, filter string) string {
	if _, known := n.cgroups[id]; !known && time.Since(n.walked) > cgroupsFor {
		n.walkCgroups()
	}
	var texts []string
	for _, h := range n.cgroups[id] {
		if ok, err := filepath.Match(filter, h.name); filter == "" || err == nil && ok {
			texts = append(texts, h.name+":"+h.path)
		}
	}
	return strings.Join(texts, ",")
}

func (n *names) walkCgroups() {
	n.walked = time.Now()
	n.cgroups = map[uint64][]hierarchy{}
	for _, root := range cgroupRoots() {
		_ = filepath.WalkDir(root.path, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil // it has just gone
			}
			var stat unix.Stat_t
			if unix.Stat(path, &stat) != nil {
				return nil
			}
			if len(n.cgroups) >= mostCgroups {
				return fs.SkipAll
			}
			inside := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root.path), "/")
			n.cgroups[stat.Ino] = append(n.cgroups[stat.Ino], hierarchy{root.name, inside})
			return nil
		})
	}
}

// cgroupRoots are the mounted hierarchies: the unified one first, then the others by name.
func cgroupRoots() []hierarchy {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer file.Close()
	var out []hierarchy
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		before, after, _ := strings.Cut(scanner.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 1 {
			continue
		}
		switch right[0] {
		case "cgroup2":
			out = append(out, hierarchy{"unified", left[4]})
		case "cgroup":
			out = append(out, hierarchy{filepath.Base(left[4]), left[4]})
		}
	}
	slices.SortStableFunc(out, func(a, b hierarchy) int {
		if (a.name == "unified") != (b.name == "unified") {
			return map[bool]int{true: -1, false: 1}[a.name == "unified"]
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}
