// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/skep-io/skep/bpf"
	"github.com/skep-io/skep/internal/kern/tracefs"
)

// Options decide what a [Kernel] makes. All but Logger are part of the ABI hash: two
// agents that differ in them do not share kernel objects.
type Options struct {
	// PinRoot is the directory of all pins, one below the mount point of a BPF filesystem;
	// "" makes a private kernel side that is never pinned.
	PinRoot string
	// MapEntries sets max_entries of maps by name (rings: bytes).
	MapEntries map[string]uint32
	// Constants sets `const volatile` variables in every object that has them.
	Constants map[string]any
	// Cgroup2 is where cgroup programs attach: the mount point of the cgroup2 root.
	Cgroup2 string
	// Words names the layout of what the agent keeps in [State].
	Words string
	// Force names, by signal, the only rung that may be tried (for tests).
	Force map[string]string
	// Interpreted has programs do without kernel functions; so they do where the kernel
	// does not compile them.
	Interpreted bool
	// Logger gets what is adopted, removed and refused.
	Logger *slog.Logger `json:"-"`
}

// Kernel is the live kernel side of one agent.
type Kernel struct {
	options   Options
	dir       string // of pins; "" if private
	specs     map[string]*ebpf.CollectionSpec
	maps      map[string]*ebpf.Map
	mutex     sync.Mutex // of what Add, Attach and Detach change while others look
	programs  []*Program
	rescues   []Rescue
	loose     map[string]bool // sensors that were added: nothing of theirs is pinned
	presence  presence
	perCPU    []Losses // a buffer for ReadLosses
	adopted   bool
	outdated  []string // directories of links that Settle removes
	settled   bool
	attaching sync.Mutex                // held by who attaches or detaches
	patching  sync.Mutex                // held by who tries whether programs may patch the kernel's text
	unpatched error                     // why they may not, once that is known; under patching
	patches   bool                      // they may, as is known; under patching
	types     atomic.Pointer[btf.Cache] // the kernel's, until Settle and during an Attach; a Scan may look meanwhile
	verifier  chan struct{}             // holds as many as may load a program at once
	early     early                     // loads that Prepare has begun
	tracefs   *tracefs.FS               // during an Attach
	mounted   bool                      // the BPF filesystem, by this agent
	broken    *Leftover                 // what was found under this ABI and could not be adopted
}

// Open checks that this is the only agent, adopts or creates the maps of the
// sensors, and attaches nothing yet. If it fails, nothing new is left.
func Open(options Options, sensors ...Sensor) (*Kernel, error) {
	if err := checkForce(options.Force, sensors); err != nil {
		return nil, err
	}
	// Since 5.11 BPF memory is not under this limit; where it is, a refusal shows later.
	_ = rlimit.RemoveMemlock()
	k := newKernel(options)
	types := btf.NewCache()
	k.types.Store(types)
	go func() { _, _ = types.Kernel() }() // takes a while; who needs the types waits, and gets the error
	if err := k.parse(sensors); err != nil {
		return nil, err
	}
	if options.PinRoot != "" { // a private agent leaves the field to itself, and needs no mark
		var err error
		if k.presence, err = announce(); err != nil {
			return nil, fmt.Errorf("start agent: %w", err)
		}
	}
	for _, step := range []func() error{func() error { return k.openPins(sensors) }, k.openMaps} {
		if err := step(); err != nil {
			return nil, errors.Join(err, k.Abort())
		}
	}
	return k, nil
}

func newKernel(options Options) *Kernel {
	options.Interpreted = options.Interpreted || interpreted()
	return &Kernel{
		options: options, specs: map[string]*ebpf.CollectionSpec{}, maps: map[string]*ebpf.Map{}, loose: map[string]bool{},
		verifier: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Adopted reports whether the kernel side of an earlier agent was taken over.
func (k *Kernel) Adopted() bool { return k.adopted }

func (k *Kernel) parse(sensors []Sensor) error {
	specs, errs := make([]*ebpf.CollectionSpec, len(sensors)), make([]error, len(sensors))
	var group sync.WaitGroup
	for i, s := range sensors {
		group.Go(func() { specs[i], errs[i] = ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object(s.Name))) })
	}
	group.Wait()
	for i, s := range sensors {
		spec, err := specs[i], errs[i]
		if err != nil {
			return fmt.Errorf("parse object %s: %w", s.Name, err)
		}
		for name, value := range k.options.Constants {
			if v := spec.Variables[name]; v != nil {
				if err := v.Set(value); err != nil {
					return fmt.Errorf("set %s in object %s: %w", name, s.Name, err)
				}
			}
		}
		for name, m := range spec.Maps {
			if n := k.options.MapEntries[name]; n != 0 {
				m.MaxEntries = n
			}
		}
		k.mutex.Lock()
		k.specs[s.Name] = spec
		k.rescues = append(k.rescues, s.Rescues...)
		k.mutex.Unlock()
	}
	return nil
}

// Abort undoes what this agent has made: after a failed start nothing is left. What it
// adopted stays as it was.
func (k *Kernel) Abort() error {
	var err error
	switch {
	case k.adopted:
		k.removeNew()
		err = k.Close()
	case k.dir == "":
		err = k.Close()
	default:
		err = k.Remove()
	}
	return errors.Join(err, k.unmount())
}

// removeNew detaches the programs that were not adopted.
func (k *Kernel) removeNew() {
	var kept []*Program
	for _, p := range slices.Backward(k.programs) {
		if p.adopted {
			kept = append(kept, p)
		} else {
			p.remove()
		}
	}
	slices.Reverse(kept)
	k.programs = kept
}

// Remove is Close that also takes the kernel side away.
func (k *Kernel) Remove() error {
	k.dropEarly()
	k.mutex.Lock()
	for i := len(k.programs) - 1; i >= 0; i-- {
		k.programs[i].remove()
	}
	k.programs = nil
	k.mutex.Unlock()
	err := k.Close()
	if k.dir != "" {
		err = errors.Join(err, removePins(k.dir))
		os.Remove(filepath.Dir(k.dir)) // stays if another ABI's pins are in it
	}
	return err
}

// Close detaches what is not pinned and lets go of everything else. The pinned
// kernel side goes on without an agent.
func (k *Kernel) Close() error {
	k.dropEarly()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var errs []error
	for i := len(k.programs) - 1; i >= 0; i-- {
		errs = append(errs, k.programs[i].close())
	}
	k.programs = nil
	for _, m := range k.maps {
		errs = append(errs, m.Close())
	}
	k.maps = nil
	errs = append(errs, k.presence.Close())
	return errors.Join(errs...)
}
