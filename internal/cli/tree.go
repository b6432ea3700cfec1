// SPDX-License-Identifier: Apache-2.0

package cli

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// forest arranges processes below their parents.
type forest struct {
	roots    []*skepv1.ProcessInfo
	children map[*skepv1.ProcessInfo][]*skepv1.ProcessInfo
	parent   map[*skepv1.ProcessInfo]*skepv1.ProcessInfo
}

// newForest expects processes in order of their start.
func newForest(all []*skepv1.ProcessInfo) *forest {
	f := &forest{children: map[*skepv1.ProcessInfo][]*skepv1.ProcessInfo{}, parent: map[*skepv1.ProcessInfo]*skepv1.ProcessInfo{}}
	byPid, byExec := index(all)
	for _, p := range all {
		parent := parentOf(p, byPid, byExec)
		if parent == nil || f.below(parent, p) {
			f.roots = append(f.roots, p)
			continue
		}
		f.parent[p] = parent
		f.children[parent] = append(f.children[parent], p)
	}
	return f
}

func index(all []*skepv1.ProcessInfo) (byPid map[uint32]*skepv1.ProcessInfo, byExec map[string]*skepv1.ProcessInfo) {
	byPid, byExec = map[uint32]*skepv1.ProcessInfo{}, map[string]*skepv1.ProcessInfo{}
	for _, p := range all {
		byExec[p.GetProcess().GetExecId()] = p
		if p.GetExited() == nil {
			byPid[p.GetProcess().GetPid()] = p
		}
	}
	delete(byExec, "")
	return byPid, byExec
}

// parentOf goes by the live ppid, which follows a child to its new parent
// when the old one ends, and else by the parent's exec id. A pid that was
// given out again is no parent: it started later.
func parentOf(p *skepv1.ProcessInfo, byPid map[uint32]*skepv1.ProcessInfo, byExec map[string]*skepv1.ProcessInfo) *skepv1.ProcessInfo {
	parent := byPid[p.GetProcess().GetPpid()]
	if parent == nil || parent.GetStarted().AsTime().After(p.GetStarted().AsTime()) {
		parent = byExec[p.GetProcess().GetParentExecId()]
	}
	if parent == p {
		return nil
	}
	return parent
}

// below says whether p is an ancestor of descendant, which would make a ring.
// Without children it is nobody's.
func (f *forest) below(descendant, p *skepv1.ProcessInfo) bool {
	if len(f.children[p]) == 0 {
		return false
	}
	for ; descendant != nil; descendant = f.parent[descendant] {
		if descendant == p {
			return true
		}
	}
	return false
}

// lines draws the trees of the selected processes and their ancestors.
func (f *forest) lines(selected []*skepv1.ProcessInfo, s screen) []psLine {
	d := drawing{forest: f, want: map[string]bool{}, keep: map[*skepv1.ProcessInfo]bool{},
		tee: s.glyph("├─", "|-"), corner: s.glyph("└─", "`-"), bar: s.glyph("│ ", "| ")}
	for _, p := range selected {
		d.want[p.GetProcess().GetProcessId()] = true
	}
	for p := range f.parent {
		d.mark(p)
	}
	for _, p := range f.roots {
		d.mark(p)
	}
	for _, p := range f.roots {
		if d.keep[p] {
			d.draw(p, "", "")
		}
	}
	return d.out
}

type drawing struct {
	*forest
	want             map[string]bool
	keep             map[*skepv1.ProcessInfo]bool
	tee, corner, bar string
	out              []psLine
}

func (d *drawing) mark(p *skepv1.ProcessInfo) {
	if !d.want[p.GetProcess().GetProcessId()] {
		return
	}
	for ; p != nil && !d.keep[p]; p = d.parent[p] {
		d.keep[p] = true
	}
}

// maxDepth bounds the indentation: a fork chain may be as deep as it likes.
const maxDepth = 100

func (d *drawing) draw(p *skepv1.ProcessInfo, branch, indent string) {
	d.out = append(d.out, psLine{p, branch, !d.want[p.GetProcess().GetProcessId()]})
	var kept []*skepv1.ProcessInfo
	for _, c := range d.children[p] {
		if d.keep[c] {
			kept = append(kept, c)
		}
	}
	for i, c := range kept {
		here, below := d.tee, d.bar
		if i == len(kept)-1 {
			here, below = d.corner, "  "
		}
		if len(indent) > 4*maxDepth {
			below = ""
		}
		d.draw(c, indent+here, indent+below)
	}
}
