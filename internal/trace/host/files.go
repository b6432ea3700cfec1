// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

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
		f, err := h.Files.Open(path.path)
		if err != nil {
			if len(paths) == 1 {
				return nil, err
			}
			continue
		}
		one := pattern
		one.Binary, one.Found = path.path, fmt.Sprint(f.Identity)
		if kind == bt.USDT {
			found = append(found, usdtProbes(f, one, path.shown)...)
		} else {
			if err := placed(f, one); err != nil {
				return nil, err
			}
			found = append(found, userFunctions(f, kind, one, path.shown)...)
		}
	}
	return found, nil
}

// placed refuses what may be in the middle of an instruction: to write there can break the
// program.
func placed(f *executable.File, t bt.Target) error {
	const force = "; --unsafe attaches all the same, and may break the program"
	if t.Unsafe || t.Language != "" {
		return nil
	}
	if t.Function == "" && t.Offset != 0 {
		if s, _, ok := f.At(t.Offset); !ok || s.Size == 0 {
			return fmt.Errorf("address %#x is in no function of it%s", t.Offset, force)
		}
		return nil
	}
	if s, ok := f.Symbol(t.Function); ok && s.Size == 0 && !wild(t.Function) {
		return fmt.Errorf("%s has no size, so its bounds are not known%s", t.Function, force)
	}
	return nil
}

// located is a file, and its path as names of probes show it: as the user wrote it.
type located struct{ path, shown string }

func (h *Host) paths(pattern bt.Target) ([]located, error) {
	name := pattern.Binary
	if pattern.PID > 0 && (name == "" || name == "*") { // uprobe:*:f with a process
		return ofProcess(pattern.PID)
	}
	full, relative := name, !filepath.IsAbs(name) && strings.Contains(name, "/")
	if relative && pattern.Directory != "" {
		full = filepath.Clean(pattern.Directory) + "/" + name
	}
	if !wild(name) {
		path, err := executable.Find(full, pattern.PID)
		if err != nil {
			return nil, err
		}
		if relative {
			return []located{{path, name}}, nil
		}
		return []located{{path, path}}, nil
	}
	if pattern.PID > 0 && filepath.IsAbs(full) && !strings.HasPrefix(full, "/proc/") {
		full = fmt.Sprintf("/proc/%d/root%s", pattern.PID, full)
	}
	paths, err := filepath.Glob(full)
	if err != nil {
		return nil, fmt.Errorf("find executables: %w", err)
	}
	var found []located
	for _, path := range paths {
		one := located{path, path}
		if relative { // Glob leaves out the dot that the user wrote
			one.shown = strings.TrimPrefix(path, filepath.Clean(pattern.Directory)+"/")
			if strings.HasPrefix(name, "./") {
				one.shown = "./" + strings.TrimPrefix(one.shown, "./")
			}
		}
		found = append(found, one)
	}
	return found, nil
}

// ofProcess are the executable files that a process has mapped.
func ofProcess(pid int) ([]located, error) {
	var found []located
	seen := map[string]bool{}
	for _, path := range executable.Mapped(pid) {
		whole, err := executable.Find(path, pid)
		if err != nil || seen[whole] {
			continue
		}
		seen[whole] = true
		found = append(found, located{whole, whole})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("process %d has no executable files, or is gone", pid)
	}
	return found, nil
}

func userFunctions(f *executable.File, kind bt.ProbeKind, t bt.Target, shown string) []bt.Target {
	prefix := "uprobe:"
	if kind == bt.Uretprobe {
		prefix = "uretprobe:"
	}
	prefix += shown + ":"
	if t.Function == "" && t.Offset != 0 {
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

func usdtProbes(f *executable.File, t bt.Target, shown string) []bt.Target {
	provider, event := newGlob(t.Provider), newGlob(t.Event)
	var found []bt.Target
	for _, p := range f.Probes() {
		if provider.match(p.Provider) && event.match(p.Name) {
			one := t
			one.Provider, one.Event, one.Offset = p.Provider, p.Name, p.Address
			one.Name = "usdt:" + shown + ":" + p.Provider + ":" + p.Name
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
		p.Later = t.Function != ""
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
	if t.Found != "" && t.Found != fmt.Sprint(f.Identity) {
		return fmt.Errorf("attach %s: %w", t.Name, executable.ErrReplaced)
	}
	p.Path, p.File = t.Binary, f.Identity
	address := t.Offset
	if kind != bt.USDT && t.Function != "" {
		s, ok := f.Symbol(t.Function)
		if !ok {
			return fmt.Errorf("attach %s: %s has no symbol %s", t.Name, t.Binary, t.Function)
		}
		if s.Size > 0 && t.Offset >= s.Size {
			return fmt.Errorf("attach %s: Offset outside the function bounds ('%s' size is %d)", t.Name, t.Function, s.Size)
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
