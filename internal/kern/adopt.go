// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// adoptRung takes over the pinned links of a rung, all of them or none.
func (k *Kernel) adoptRung(ladder Ladder, rung *Rung) []*Program {
	if !k.adopted {
		return nil
	}
	dir := k.linkDir(ladder, rung)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // another rung was used
	}
	var programs []*Program
	for _, name := range rung.Programs {
		p, err := k.adoptProgram(filepath.Join(dir, name), name)
		if err != nil {
			k.options.Logger.Warn("pinned programs not taken over: attaching anew", "signal", ladder.Signal, "program", name, "error", err)
			for _, p := range programs {
				p.remove()
			}
			os.RemoveAll(dir)
			return nil
		}
		programs = append(programs, p)
	}
	return programs
}

// adoptProgram opens a pinned link and the program behind it.
func (k *Kernel) adoptProgram(pin, name string) (*Program, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return nil, err
	}
	program, err := k.programOf(l, name)
	if err != nil {
		l.Close()
		return nil, err
	}
	p := newProgram(name, k.hook(name), l, program)
	p.pin, p.adopted = pin, true
	return p, nil
}

func (k *Kernel) programOf(l link.Link, name string) (*ebpf.Program, error) {
	info, err := l.Info()
	if err != nil {
		return nil, fmt.Errorf("read info of pinned link: %w", err)
	}
	program, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return nil, fmt.Errorf("open program of pinned link: %w", err)
	}
	if err := k.ours(program, name); err != nil {
		program.Close()
		return nil, err
	}
	return program, nil
}

// ours checks that a program is the one that its pin's name says, on this kernel's maps.
func (k *Kernel) ours(program *ebpf.Program, name string) error {
	info, err := program.Info()
	if err != nil {
		return fmt.Errorf("read info of pinned program: %w", err)
	}
	if info.Name != name {
		return fmt.Errorf("the pinned link is that of program %s", info.Name)
	}
	used, _ := info.MapIDs()
	for _, m := range k.maps {
		mapInfo, err := m.Info()
		if err != nil {
			return fmt.Errorf("read info of map: %w", err)
		}
		if id, ok := mapInfo.ID(); ok && slices.Contains(used, id) {
			return nil
		}
	}
	return errors.New("the pinned program uses none of the pinned maps")
}

// outdate notes the pins of a ladder's other rungs, for [Kernel.Settle]. What is attached
// later finds none: only an earlier agent leaves them.
func (k *Kernel) outdate(ladder Ladder, used *Rung) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if !k.adopted || k.settled {
		return
	}
	for i := range ladder.Rungs {
		if rung := &ladder.Rungs[i]; rung.Name != used.Name {
			k.outdated = append(k.outdated, k.linkDir(ladder, rung))
		}
	}
}

// Settle takes away the adopted programs of rungs that are not used any more: what a lower
// rung has served is not to be told twice once a better one works. Until then both are
// attached, so that nothing is missed and a start that fails can be undone. It is called
// when the start has succeeded.
func (k *Kernel) Settle() error {
	k.dropEarly()
	k.types.Store(nil)
	k.mutex.Lock()
	outdated := k.outdated
	k.outdated, k.settled = nil, true
	k.mutex.Unlock()
	var errs []error
	for _, dir := range outdated {
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("remove programs of an unused rung: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (k *Kernel) hook(program string) string {
	for _, spec := range k.specs {
		if p := spec.Programs[program]; p != nil {
			return p.SectionName
		}
	}
	return ""
}
