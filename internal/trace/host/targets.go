// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/kern/ctype"
	"github.com/skep-io/skep/internal/kern/kallsyms"
)

// Targets implements [bt.Host].
func (h *Host) Targets(kind bt.ProbeKind, pattern bt.Target) ([]bt.Target, error) {
	var found []bt.Target
	var err error
	switch kind {
	case bt.Tracepoint:
		found, err = h.tracepoints(pattern)
	case bt.RawTracepoint, bt.Iterator:
		found, err = h.typed(kind, pattern)
	case bt.Kprobe, bt.Kretprobe, bt.Fentry, bt.Fexit:
		found, err = h.functions(kind, pattern)
	case bt.Uprobe, bt.Uretprobe, bt.USDT:
		found, err = h.inFiles(kind, pattern)
	case bt.Software, bt.Hardware:
		found = events(kind, pattern)
	case bt.Watchpoint, bt.AsyncWatchpoint:
		if found = []bt.Target{pattern}; pattern.Function != "" {
			found, err = h.watched(pattern)
		}
	}
	slices.SortFunc(found, func(a, b bt.Target) int { return strings.Compare(a.Name, b.Name) })
	return found, err
}

func (h *Host) tracepoints(pattern bt.Target) ([]bt.Target, error) {
	fs, err := h.fs()
	if err != nil {
		return nil, err
	}
	if !wild(pattern.Category) && !wild(pattern.Event) {
		if _, err := fs.ID(pattern.Category, pattern.Event); err != nil {
			return nil, nil
		}
		return []bt.Target{tracepoint(pattern, pattern.Category, pattern.Event)}, nil
	}
	all, err := fs.Events()
	category, event := newGlob(pattern.Category), newGlob(pattern.Event)
	var found []bt.Target
	for _, e := range all {
		if category.match(e.Category) && event.match(e.Name) {
			found = append(found, tracepoint(pattern, e.Category, e.Name))
		}
	}
	return found, err
}

func tracepoint(t bt.Target, category, event string) bt.Target {
	t.Category, t.Event, t.Name = category, event, "tracepoint:"+category+":"+event
	return t
}

// typed are the kinds whose places BTF alone knows.
func (h *Host) typed(kind bt.ProbeKind, pattern bt.Target) ([]bt.Target, error) {
	names, err := h.Types.Names()
	if err != nil {
		return nil, err
	}
	list, prefix := names.Tracepoints, "rawtracepoint:"
	if kind == bt.Iterator {
		list, prefix = names.Iterators, "iter:"
	}
	glob := newGlob(pattern.Event)
	var found []bt.Target
	for _, name := range list {
		if glob.match(name) {
			t := pattern
			t.Event, t.Name = name, prefix+name
			found = append(found, t)
		}
	}
	return found, nil
}

var functionPrefixes = map[bt.ProbeKind]string{bt.Kprobe: "kprobe:", bt.Kretprobe: "kretprobe:", bt.Fentry: "fentry:", bt.Fexit: "fexit:"}

func (h *Host) functions(kind bt.ProbeKind, pattern bt.Target) ([]bt.Target, error) {
	if !wild(pattern.Module) && !loaded(pattern.Module) {
		return nil, &bt.NoModule{Module: pattern.Module}
	}
	if err := h.Check(kind); err != nil {
		return nil, err
	}
	if pattern.Function == "" && pattern.Offset != 0 { // an address
		s, offset, ok := h.Symbols.At(pattern.Offset)
		if !ok {
			return nil, fmt.Errorf("%#x is not in the kernel", pattern.Offset)
		}
		t := pattern
		t.Function, t.Offset = s.Name, offset
		return []bt.Target{t}, nil
	}
	if kind == bt.Fentry || kind == bt.Fexit {
		return h.typedFunctions(kind, pattern)
	}
	names, err := h.functionNames(pattern)
	var found []bt.Target
	for _, name := range names {
		found = append(found, onFunction(kind, pattern, "", name))
	}
	return found, err
}

// loaded tells whether a module is there. One that is built in may have a folder too, but no state.
func loaded(module string) bool {
	if module == vmlinux {
		return true
	}
	_, err := os.Stat(filepath.Join("/sys/module", filepath.Base(module), "initstate"))
	return err == nil
}

// onFunction is a pattern's target; module is that of its name, if it has one there.
func onFunction(kind bt.ProbeKind, t bt.Target, module, name string) bt.Target {
	t.Function, t.Name = name, functionPrefixes[kind]+name
	if module != "" {
		t.Module, t.Name = module, functionPrefixes[kind]+module+":"+name
	}
	if t.Offset != 0 {
		t.Name += "+" + strconv.FormatUint(t.Offset, 10)
	}
	return t
}

// vmlinux is the kernel itself where modules are named.
const vmlinux = "vmlinux"

// typedFunctions are those that BTF describes. The kernel attaches by name, and what it has itself goes before
// what a module has by the same name.
func (h *Host) typedFunctions(kind bt.ProbeKind, pattern bt.Target) ([]bt.Target, error) {
	names, err := h.Types.Names()
	if err != nil {
		return nil, err
	}
	glob, module := newGlob(pattern.Function), newGlob(pattern.Module)
	var found []bt.Target
	add := func(module string, names []string) {
		for _, name := range names {
			if glob.match(name) {
				found = append(found, onFunction(kind, pattern, module, name))
			}
		}
	}
	if module.match(vmlinux) {
		add(vmlinux, names.Functions)
	}
	if len(found) > 0 && !wild(pattern.Function) {
		return found, nil
	}
	for _, name := range ctype.Modules() {
		if !module.match(name) {
			continue
		}
		functions, err := h.Types.Functions(name)
		if err != nil {
			continue // it was unloaded meanwhile
		}
		add(name, slices.DeleteFunc(functions, func(f string) bool { _, ok := slices.BinarySearch(names.Functions, f); return ok }))
	}
	return found, nil
}

// functionNames are those that kprobes are put on.
func (h *Host) functionNames(pattern bt.Target) ([]string, error) {
	glob, module := newGlob(pattern.Function), newGlob(pattern.Module)
	if !wild(pattern.Function) {
		if s, ok := h.Symbols.Named(pattern.Function); !ok || !module.match(cmp.Or(s.Module, vmlinux)) {
			return nil, nil
		}
		return []string{pattern.Function}, nil
	}
	seen := map[string]bool{}
	err := h.eachProbeable(func(name, of string) {
		if !seen[name] && glob.match(name) && module.match(cmp.Or(of, vmlinux)) {
			seen[name] = true
		}
	})
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	return names, err
}

// eachProbeable goes over what the kernel's tracer lists or, where it lists nothing, over
// the functions among its symbols.
func (h *Host) eachProbeable(fn func(name, module string)) error {
	if fs, err := h.fs(); err == nil {
		n := 0
		if err := fs.Functions(func(name, module string) { n++; fn(name, module) }); err == nil && n > 0 {
			return nil
		}
	}
	return h.Symbols.Each(func(s kallsyms.Symbol) {
		if s.Function {
			fn(s.Name, s.Module)
		}
	})
}

// usual is how many events make a sample of a software or hardware event if a script does
// not say; of others it is a million.
var usual = map[string]uint64{
	"page-faults": 100, "faults": 100, "context-switches": 1000, "cs": 1000,
	"cpu-migrations": 1, "minor-faults": 100, "major-faults": 1, "alignment-faults": 1, "emulation-faults": 1, "dummy": 1, "bpf-output": 1,
	"branch-instructions": 1e5, "branches": 1e5, "bus-cycles": 1e5, "branch-misses": 1e5,
}

func events(kind bt.ProbeKind, pattern bt.Target) []bt.Target {
	prefix := "software:"
	if kind == bt.Hardware {
		prefix = "hardware:"
	}
	glob := newGlob(pattern.Event)
	var found []bt.Target
	for _, name := range kern.EventNames(hooks[kind]) {
		if !glob.match(name) {
			continue
		}
		t := pattern
		t.Event, t.Name = name, prefix+name+":"
		switch {
		case t.Period != 0:
			t.Name += strconv.FormatUint(t.Period, 10)
		case usual[name] != 0:
			t.Period = usual[name]
		default:
			t.Period = 1e6
		}
		found = append(found, t)
	}
	return found
}

// watched are the functions of a process whose argument a watchpoint looks at.
func (h *Host) watched(pattern bt.Target) ([]bt.Target, error) {
	if pattern.PID == 0 {
		return nil, errors.New("name the process (-p), or start it (-c): the address is one of its own")
	}
	path := fmt.Sprintf("/proc/%d/exe", pattern.PID)
	f, err := h.Files.Open(path)
	if err != nil {
		return nil, err
	}
	glob := newGlob(pattern.Function)
	_, rest, _ := strings.Cut(pattern.Name, "+")
	_, rest, _ = strings.Cut(rest, ":") // length and mode: that is how the reference names it
	prefix, _, _ := strings.Cut(pattern.Name, ":")
	var found []bt.Target
	for _, s := range f.Functions() {
		if glob.match(s.Name) {
			t := pattern
			t.Function, t.Binary, t.Name = s.Name, path, prefix+":"+s.Name+":"+rest
			found = append(found, t)
		}
	}
	return found, nil
}
