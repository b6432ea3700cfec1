// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func matchPids(pids []uint32) (predicate, error) {
	if len(pids) == 0 {
		return nil, nil
	}
	set, err := setOf(pids)
	return func(r *skepv1.Record) bool {
		_, ok := set[r.GetProcess().GetPid()]
		return ok && r.GetProcess() != nil
	}, err
}

func matchUids(uids []uint32) (predicate, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	set, err := setOf(uids)
	return func(r *skepv1.Record) bool {
		_, ok := set[r.GetProcess().GetUid()]
		return ok && r.GetProcess() != nil
	}, err
}

func matchComms(comms []string) (predicate, error) {
	if len(comms) == 0 {
		return nil, nil
	}
	set, err := setOf(comms)
	return func(r *skepv1.Record) bool {
		_, ok := set[r.GetProcess().GetComm()]
		return ok && r.GetProcess() != nil
	}, err
}

func matchExes(patterns []string) (predicate, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	exes, err := newExeSet(patterns)
	return func(r *skepv1.Record) bool { return exes.has(r.GetProcess().GetExe()) }, err
}

func matchAncestorExes(patterns []string, deps Deps) (predicate, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	if deps.Ancestors == nil {
		return nil, errors.New("no process table to look ancestors up in")
	}
	exes, err := newExeSet(patterns)
	return func(r *skepv1.Record) bool {
		found := false
		deps.Ancestors(r.GetProcess().GetExecId(), func(p *skepv1.Process) bool {
			found = exes.has(p.GetExe())
			return !found
		})
		return found
	}, err
}

// exeSet matches executables by exact path or base name, which are looked up,
// and by directory, which are tried one after the other.
type exeSet struct {
	paths, bases map[string]struct{}
	dirs         []string
}

func newExeSet(patterns []string) (exeSet, error) {
	var paths, bases, dirs []string
	for _, p := range patterns {
		switch {
		case p == "":
			return exeSet{}, errors.New(`an empty name; give a path, a directory ending in "/", or a base name`)
		case strings.HasSuffix(p, "/"):
			dirs = append(dirs, p)
		case strings.Contains(p, "/"):
			paths = append(paths, p)
		default:
			bases = append(bases, p)
		}
	}
	if _, err := setOf(patterns); err != nil {
		return exeSet{}, err
	}
	s := exeSet{dirs: dirs}
	s.paths, _ = setOf(paths)
	s.bases, _ = setOf(bases)
	return s, nil
}

func (s exeSet) has(exe string) bool {
	if exe == "" {
		return false
	}
	if _, ok := s.paths[exe]; ok {
		return true
	}
	if len(s.bases) > 0 {
		if _, ok := s.bases[exe[strings.LastIndexByte(exe, '/')+1:]]; ok {
			return true
		}
	}
	for _, dir := range s.dirs {
		if strings.HasPrefix(exe, dir) {
			return true
		}
	}
	return false
}
