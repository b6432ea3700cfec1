// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"

	"github.com/skep-io/skep/internal/kern/ctype"
	"github.com/skep-io/skep/internal/kern/tracefs"
)

// GroupSpec is programs that come and go together, and the maps that they share: what was
// compiled for one purpose, such as a script. It is data: [LoadGroup] makes it live.
type GroupSpec struct {
	Maps     []GroupMap
	Programs []GroupProgram
	// Shared are maps that are there already and not the group's, by name.
	Shared map[string]*SharedMap
}

// GroupMap is a map to make. The instructions refer to it by Name.
type GroupMap struct {
	Name string
	Type MapType
	// KeySize and ValueSize in bytes; a ring's MaxEntries is its size in bytes, a power of
	// two of at least a page.
	KeySize, ValueSize, MaxEntries int
}

// MapType is the kernel's type of a map.
type MapType uint8

// The types of maps of groups.
const (
	HashMap MapType = iota
	PerCPUHashMap
	LRUHashMap
	LRUPerCPUHashMap
	ArrayMap
	PerCPUArrayMap
	RingMap
	StackMap
)

var mapTypes = [...]ebpf.MapType{ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.Array, ebpf.PerCPUArray, ebpf.RingBuf, ebpf.StackTrace}

// GroupProgram is a program, and where to attach it.
type GroupProgram struct {
	// Name is shown to whoever lists programs: 15 letters, digits and underlines of it.
	Name string
	Hook Hook
	// Instructions refer to maps by name. They are not changed.
	Instructions asm.Instructions
	Places       []Place
}

// Group is a live GroupSpec. Its methods are for one goroutine, but what reads maps and
// [Group.Stats].
type Group struct {
	spec     GroupSpec
	types    *ctype.Kernel
	maps     map[string]*ebpf.Map
	mutex    sync.Mutex // of programs and attached
	programs [][]*loaded
	attached []*attachment
	// missed is what links that are gone have missed, by the number of their program.
	missed  map[int]uint64
	tracefs *tracefs.FS // during an Attach
}

// loaded is a program in the kernel, for some of the places of its spec.
type loaded struct {
	program *ebpf.Program
	places  []Place
	multi   bool // all places take one link
	// other is the same program, loaded for the other way to attach where that was needed.
	other *ebpf.Program
}

// way is the program of a unit, for a link for many places or for one.
func (g *Group) way(number int, u *loaded, multi bool) (*ebpf.Program, error) {
	if u.multi == multi {
		return u.program, nil
	}
	if u.other != nil {
		return u.other, nil
	}
	p := g.spec.Programs[number]
	instructions, err := g.associate(p)
	if err != nil {
		return nil, err
	}
	program, err := g.load(programSpec(p, &loaded{places: u.places, multi: multi}, instructions))
	if err != nil {
		return nil, refused(number, p.Name, err)
	}
	g.mutex.Lock()
	u.other = program
	g.mutex.Unlock()
	return program, nil
}

// LoadGroup makes the maps and loads the programs. What the verifier refuses is a
// [*Refused]. On failure nothing is left.
func LoadGroup(spec GroupSpec, types *ctype.Kernel) (*Group, error) {
	// Since 5.11 BPF memory is not under this limit; where it is, a refusal shows later.
	_ = rlimit.RemoveMemlock()
	g := &Group{spec: spec, types: types, maps: map[string]*ebpf.Map{}, missed: map[int]uint64{}, programs: make([][]*loaded, len(spec.Programs))}
	for _, m := range spec.Maps {
		if err := g.makeMap(m); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	for name, m := range spec.Shared {
		if err := g.share(name, m); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	if err := g.loadAll(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Group) makeMap(m GroupMap) error {
	spec := &ebpf.MapSpec{
		Name: objectName(m.Name), Type: mapTypes[m.Type],
		KeySize: uint32(m.KeySize), ValueSize: uint32(m.ValueSize), MaxEntries: uint32(m.MaxEntries),
	}
	made, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("create map %s of %d entries with keys of %d and values of %d bytes: %w%s",
			m.Name, m.MaxEntries, m.KeySize, m.ValueSize, err, memlockHint(err))
	}
	g.maps[m.Name] = made
	return nil
}

// objectName is what of a name the kernel takes.
func objectName(name string) string {
	var kept []byte
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
			kept = append(kept, c)
		case c == ':':
			kept = append(kept, '_')
		}
	}
	return string(kept[:min(len(kept), 15)])
}

// Close detaches what is attached, and lets go of programs and maps.
func (g *Group) Close() error {
	err := g.Detach()
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for _, units := range g.programs {
		for _, u := range units {
			err = errors.Join(err, u.program.Close())
			if u.other != nil {
				err = errors.Join(err, u.other.Close())
			}
		}
	}
	g.programs = nil
	for _, m := range g.maps {
		err = errors.Join(err, m.Close())
	}
	g.maps = nil
	return err
}

// Detach takes every program off its hook, those attached last first, many at a time. The
// maps stay readable.
func (g *Group) Detach() error {
	g.mutex.Lock()
	attached := g.attached
	g.attached = nil
	g.mutex.Unlock()
	slices.Reverse(attached)
	errs := make([]error, len(attached))
	// The kernel waits for a grace period at each, which those that wait at once share.
	var group sync.WaitGroup
	var events []descriptor
	for i, a := range attached {
		g.keepMissed(a)
		closers <- struct{}{}
		group.Go(func() {
			errs[i] = a.close()
			<-closers
		})
		events = append(events, a.events...)
	}
	group.Wait()
	lingering.close(events)
	return errors.Join(errs...)
}

// closers bounds the threads that wait for the kernel, of all groups together.
var closers = make(chan struct{}, 64)
