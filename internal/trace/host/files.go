// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/kern/executable"
)

// inFiles are the places in executables and libraries.
func (h *Host) inFiles(kind bt.ProbeKind, pattern bt.Target) ([]bt.Target, error) {
	paths, err := h.paths(pattern)
	if err != nil {
		return nil, err
	}
	var found []bt.Target
	for _, path := range paths {
		f, err := h.Files.Open(path)
		if err != nil {
			if len(paths) == 1 {
				return nil, err
			}
			continue
		}
		one := pattern
		one.Binary = path
		if kind == bt.USDT {
			found = append(found, usdtProbes(f, one)...)
		} else {
			found = append(found, userFunctions(f, kind, one)...)
		}
	}
	return found, nil
}

func (h *Host) paths(pattern bt.Target) ([]string, error) {
	name := pattern.Binary
	if name == "" && pattern.PID > 0 { // usdt:*:probe with a process
		name = fmt.Sprintf("/proc/%d/exe", pattern.PID)
	}
	if wild(name) {
		paths, err := filepath.Glob(name)
		if err != nil {
			return nil, fmt.Errorf("find executables: %w", err)
		}
		return paths, nil
	}
	path, err := executable.Find(name, pattern.PID)
	if err != nil {
		return nil, err
	}
	return []string{path}, nil
}

func userFunctions(f *executable.File, kind bt.ProbeKind, t bt.Target) []bt.Target {
	prefix := "uprobe:"
	if kind == bt.Uretprobe {
		prefix = "uretprobe:"
	}
	prefix += t.Binary + ":"
	if t.Function == "" {
		t.Name = prefix + strconv.FormatUint(t.Offset, 10)
		return []bt.Target{t}
	}
	if t.Language != "" {
		return sourceFunctions(f, prefix, t)
	}
	if !wild(t.Function) {
		if _, ok := f.Symbol(t.Function); !ok {
			return nil
		}
		t.Name = prefix + t.Function
		if t.Offset != 0 {
			t.Name += "+" + strconv.FormatUint(t.Offset, 10)
		}
		return []bt.Target{t}
	}
	glob := newGlob(t.Function)
	seen := map[uint64]bool{} // one function may have several names
	var found []bt.Target
	for _, s := range f.Functions() {
		if !seen[s.Address] && glob.match(s.Name) {
			seen[s.Address] = true
			one := t
			one.Function, one.Name = s.Name, prefix+s.Name
			found = append(found, one)
		}
	}
	return found
}

func usdtProbes(f *executable.File, t bt.Target) []bt.Target {
	provider, event := newGlob(t.Provider), newGlob(t.Event)
	var found []bt.Target
	for _, p := range f.Probes() {
		if provider.match(p.Provider) && event.match(p.Name) {
			one := t
			one.Provider, one.Event, one.Offset = p.Provider, p.Name, p.Address
			one.Name = "usdt:" + t.Binary + ":" + p.Provider + ":" + p.Name
			found = append(found, one)
		}
	}
	return found
}

// Place is where a target of a kind is, as the kernel is told it.
func (h *Host) Place(kind bt.ProbeKind, t bt.Target) (kern.Place, error) {
	p := kern.Place{
		Name: t.Name, Category: t.Category, Event: t.Event, Function: t.Function, Module: t.Module, Offset: t.Offset,
		Period: t.Period, PID: t.PID, Cookie: t.Cookie,
	}
	switch kind {
	case bt.Uprobe, bt.Uretprobe, bt.USDT:
		err := h.inFile(kind, t, &p)
		return p, err
	case bt.Watchpoint, bt.AsyncWatchpoint:
		if t.Function != "" {
			return p, fmt.Errorf("attach %s: a watchpoint on an argument of a function is not supported: watch an address", t.Name)
		}
		p.Address, p.Length, p.Access, p.Period = t.Offset, t.Period, t.Mode, 0
	}
	return p, nil
}

// inFile turns a function or an address into a place in the file.
func (h *Host) inFile(kind bt.ProbeKind, t bt.Target, p *kern.Place) error {
	f, err := h.Files.Open(t.Binary)
	if err != nil {
		return fmt.Errorf("attach %s: %w", t.Name, err)
	}
	p.Path, p.File = t.Binary, f.Identity
	address := t.Offset
	if kind != bt.USDT && t.Function != "" {
		s, ok := f.Symbol(t.Function)
		if !ok {
			return fmt.Errorf("attach %s: %s has no symbol %s", t.Name, t.Binary, t.Function)
		}
		if s.Size > 0 && t.Offset >= s.Size {
			return fmt.Errorf("attach %s: offset %d is outside of the function, which has %d bytes", t.Name, t.Offset, s.Size)
		}
		address = s.Address + t.Offset
	}
	var ok bool
	if p.Offset, ok = f.Offset(address); !ok {
		return fmt.Errorf("attach %s: address %#x is not in the file", t.Name, address)
	}
	if kind == bt.USDT {
		return counterOf(f, t, p)
	}
	return nil
}

func counterOf(f *executable.File, t bt.Target, p *kern.Place) error {
	for _, probe := range f.Probes() {
		if probe.Provider != t.Provider || probe.Name != t.Event || probe.Address != t.Offset || probe.Semaphore == 0 {
			continue
		}
		var ok bool
		if p.Counter, ok = f.Offset(probe.Semaphore); !ok {
			return fmt.Errorf("attach %s: its semaphore at %#x is not in the file", t.Name, probe.Semaphore)
		}
	}
	return nil
}
