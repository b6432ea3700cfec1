// SPDX-License-Identifier: Apache-2.0

package files

import (
	"path"
	"strings"

	"github.com/skep-io/skep/internal/abi"
)

// Limits of what can be watched.
const (
	MaxPaths     = 64
	MaxPathBytes = 255
)

// Plan is what the kernel side looks for, made from the configured paths as they are now.
type Plan struct {
	Objects  map[abi.FileObject]uint32
	Names    map[abi.FileName]uint32
	Prefixes map[abi.FilePrefix]uint32
	Filter   abi.FileFilter
	// Missing are configured paths that are not there, or cannot be looked at.
	Missing []string

	// paths are the configured ones and, where these lead through symlinks, where to.
	paths []string
}

// Found is a path as it is on the host.
type Found struct {
	Object abi.FileObject
	Path   string // without symlinks
}

// Host looks paths up.
type Host interface {
	// Find follows symlinks; it returns false if nothing is there.
	Find(path string) (Found, bool)
}

// NewPlan looks at the host. Paths are absolute and clean.
func NewPlan(paths []string, host Host) *Plan {
	p := &Plan{
		Objects: map[abi.FileObject]uint32{}, Names: map[abi.FileName]uint32{}, Prefixes: map[abi.FilePrefix]uint32{},
	}
	for _, watched := range paths {
		p.watch(watched, host)
		found, ok := host.Find(watched)
		if !ok {
			p.Missing = append(p.Missing, watched)
			continue
		}
		p.object(found.Object, abi.WatchTree)
		if found.Path != watched {
			p.watch(found.Path, host)
		}
	}
	if root, ok := host.Find("/"); ok {
		p.object(root.Object, abi.WatchRoot)
	}
	return p
}

// watch adds a path by its letters, and the way to it. What is not there yet, or is put in
// the place of what was, is known by its name in its directory.
func (p *Plan) watch(watched string, host Host) {
	p.paths = append(p.paths, watched)
	for _, prefix := range []string{strings.TrimSuffix(watched, "/") + "/", watched + "\x00"} {
		key := abi.FilePrefix{Bits: uint32(8 * len(prefix))}
		if copy(key.Path[:], prefix) == len(prefix) {
			p.Prefixes[key] = 1
		}
	}
	named := false
	for at := watched; at != "/"; {
		dir, name := path.Split(at)
		at = path.Clean(dir)
		found, ok := host.Find(at)
		if !ok {
			continue
		}
		p.object(found.Object, abi.WatchAbove)
		if !named {
			p.name(found.Object, name, dir+name == watched)
			named = true
		}
	}
}

func (p *Plan) object(o abi.FileObject, watch abi.FileWatch) {
	p.Objects[o] |= uint32(watch)
	p.mark(o, 0)
}

// Values of Names: what is watched has this name, or it is a part on the way there.
const (
	nameExact = 1
	namePart  = 2
)

func (p *Plan) name(dir abi.FileObject, name string, exact bool) {
	key := abi.FileName{Directory: dir}
	copy(key.Name[:len(key.Name)-1], name)
	if exact {
		p.Names[key] = nameExact
	} else if p.Names[key] == 0 {
		p.Names[key] = namePart
	}
	p.object(dir, abi.WatchNames)
	p.mark(dir, uint32(len(name)&255)<<8|uint32(name[0]))
}

// mark sets the bit of the kernel side's filter_hash.
func (p *Plan) mark(o abi.FileObject, more uint32) {
	h := uint32((o.Inode ^ uint64(o.Device)<<32 ^ uint64(more)<<48) * 0x9e3779b97f4a7c15 >> 32)
	p.Filter.Bits[h/64%uint32(len(p.Filter.Bits))] |= 1 << (h & 63)
}

// Watched reports whether a path of the host's root is watched, by its letters.
func (p *Plan) Watched(name string) bool {
	for _, w := range p.paths {
		if name == w || w == "/" || strings.HasPrefix(name, w) && name[len(w)] == '/' {
			return true
		}
	}
	return false
}

// Leads reports whether a path is one on the way to what is watched: if it changes, the
// plan may be out of date.
func (p *Plan) Leads(name string) bool {
	for _, w := range p.paths {
		if w == name || strings.HasPrefix(w, strings.TrimSuffix(name, "/")+"/") {
			return true
		}
	}
	return false
}
