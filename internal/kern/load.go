// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
)

// load loads the named programs of a sensor's object, on the shared maps. The caller
// closes them. Those that a host may forbid come first: the rest need not be loaded then.
func (k *Kernel) load(s Sensor, names []string, config map[string]any) (map[string]*ebpf.Program, *ebpf.CollectionSpec, error) {
	spec, err := k.specOf(s, names, config)
	if err != nil {
		return nil, nil, err
	}
	var patching, others []string
	for _, name := range names {
		if spec.Programs[name].Type == ebpf.Kprobe {
			if err := noKprobes(kprobeEvents); err != nil {
				return nil, nil, err
			}
		}
		switch spec.Programs[name].AttachType {
		case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit, ebpf.AttachModifyReturn, ebpf.AttachLSMMac:
			patching = append(patching, name)
		default:
			others = append(others, name)
		}
	}
	loaded := map[string]*ebpf.Program{}
	if err = k.loadPatching(spec, patching, loaded); err == nil {
		err = k.loadWave(spec, others, loaded)
	}
	if err != nil {
		closeAll(loaded)
		return nil, nil, fmt.Errorf("load: %w", err)
	}
	return loaded, spec, nil
}

// loadPatching loads programs that patch the kernel's text. Where a host forbids that, the first
// attempt tells, and the others need not be made; nobody waits for more than that one.
func (k *Kernel) loadPatching(spec *ebpf.CollectionSpec, names []string, loaded map[string]*ebpf.Program) error {
	if len(names) == 0 {
		return nil
	}
	if err := k.tryPatching(spec, names, loaded); err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return loaded[name] != nil })
	return k.loadWave(spec, rest, loaded)
}

// tryPatching loads the shortest of the programs, unless one of any ladder has told before.
func (k *Kernel) tryPatching(spec *ebpf.CollectionSpec, names []string, loaded map[string]*ebpf.Program) error {
	k.patching.Lock()
	defer k.patching.Unlock()
	if k.unpatched != nil || k.patches {
		return k.unpatched
	}
	shortest := slices.MinFunc(names, byLength(spec))
	err := k.loadWave(spec, []string{shortest}, loaded)
	switch {
	case err == nil:
		k.patches = true
	case forbidden(err):
		k.unpatched = err
	}
	return err
}

// loadWave loads programs into a map. The verifier takes a good part of a start, so it is
// given as many at a time as there are CPUs, the longest first. After a failure the rest is
// left out.
func (k *Kernel) loadWave(spec *ebpf.CollectionSpec, names []string, loaded map[string]*ebpf.Program) error {
	var mutex sync.Mutex // of loaded and failed
	var failed error
	var group sync.WaitGroup
	for _, name := range slices.Backward(slices.SortedStableFunc(slices.Values(names), byLength(spec))) {
		one := part(spec, func(other string) bool { return other == name })
		group.Go(func() {
			k.verifier <- struct{}{}
			defer func() { <-k.verifier }()
			mutex.Lock()
			skip := failed != nil
			mutex.Unlock()
			if skip {
				return
			}
			program, err := k.loadOne(one, name)
			mutex.Lock()
			defer mutex.Unlock()
			failed = cmp.Or(failed, err)
			if err == nil {
				loaded[name] = program
			}
		})
	}
	group.Wait()
	return failed
}

// byLength orders names of programs, the shortest first.
func byLength(spec *ebpf.CollectionSpec) func(a, b string) int {
	return func(a, b string) int {
		return cmp.Compare(len(spec.Programs[a].Instructions), len(spec.Programs[b].Instructions))
	}
}

// specOf is the object with the named programs only, and with its constants set.
func (k *Kernel) specOf(s Sensor, names []string, config map[string]any) (*ebpf.CollectionSpec, error) {
	k.mutex.Lock()
	spec := part(k.specs[s.Name], func(name string) bool { return slices.Contains(names, name) })
	k.mutex.Unlock()
	if len(spec.Programs) < len(names) {
		return nil, fmt.Errorf("load %s: object %s has not all of these programs", strings.Join(names, ", "), s.Name)
	}
	for name, value := range config {
		v := spec.Variables[name]
		if v == nil {
			return nil, fmt.Errorf("set %s: object %s has no such constant", name, s.Name)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("set %s in object %s: %w", name, s.Name, err)
		}
	}
	for _, program := range spec.Programs {
		keepUserReads(program.Instructions)
		if k.options.Interpreted {
			withoutKernelFunctions(program.Instructions)
		}
	}
	return spec, nil
}

// part copies a spec with some of its programs: the code of all of them is much to copy.
func part(spec *ebpf.CollectionSpec, wanted func(program string) bool) *ebpf.CollectionSpec {
	some := *spec
	some.Programs = map[string]*ebpf.ProgramSpec{}
	for name, p := range spec.Programs {
		if wanted(name) {
			some.Programs[name] = p
		}
	}
	return some.Copy()
}

// loadOne loads the program of a spec that has one. What of its maps is not shared are constants.
func (k *Kernel) loadOne(spec *ebpf.CollectionSpec, name string) (*ebpf.Program, error) {
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: k.shared(spec), Cache: k.types.Load()})
	if err != nil {
		return nil, err
	}
	defer collection.Close()
	return collection.DetachProgram(name), nil
}

// shared are the maps of a spec that are there.
func (k *Kernel) shared(spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	shared := map[string]*ebpf.Map{}
	for name := range spec.Maps {
		if m := k.maps[name]; m != nil {
			shared[name] = m
		}
	}
	return shared
}

func closeAll(programs map[string]*ebpf.Program) {
	for _, p := range programs {
		p.Close()
	}
}

// kprobeEvents is where the kernel shows the kinds of events that it has.
const kprobeEvents = "/sys/bus/event_source/devices"

// noKprobes tells that the kernel has no kprobes, where it can be asked (since 4.17): programs
// for them need not be verified then, which may take longer than the whole rest of a start.
func noKprobes(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "tracepoint")); err != nil {
		return nil // no sysfs here: an attempt will tell
	}
	if _, err := os.Stat(filepath.Join(dir, "kprobe")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attach kprobe: this kernel has none (built without CONFIG_KPROBE_EVENTS): %w", ebpf.ErrNotSupported)
	}
	return nil
}
