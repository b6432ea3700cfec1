// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/skep-io/skep/bpf"
)

// Options decide what a [Kernel] makes. All but Force and Logger are part of the
// ABI hash: two agents that differ in them do not share kernel objects.
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
	// Force names, by signal, the only rung that may be tried (for tests).
	Force map[string]string `json:",omitempty"`
	// Logger gets what is adopted, removed and refused.
	Logger *slog.Logger `json:"-"`
}

// Kernel is the live kernel side of one agent.
type Kernel struct {
	options  Options
	dir      string // of pins; "" if private
	specs    map[string]*ebpf.CollectionSpec
	maps     map[string]*ebpf.Map
	programs []*Program
	presence presence
	adopted  bool
}

// Open checks that this is the only agent, adopts or creates the maps of the
// sensors, and attaches nothing yet.
func Open(options Options, sensors ...Sensor) (*Kernel, error) {
	// Since 5.11 BPF memory is not under this limit; where it is, a refusal shows later.
	_ = rlimit.RemoveMemlock()
	k := &Kernel{options: options, specs: map[string]*ebpf.CollectionSpec{}, maps: map[string]*ebpf.Map{}}
	if err := k.parse(sensors); err != nil {
		return nil, err
	}
	if err := k.announce(); err != nil {
		return nil, err
	}
	if err := k.openPins(); err != nil {
		k.presence.Close()
		return nil, err
	}
	if err := k.createMaps(); err != nil {
		return nil, errors.Join(err, k.Abort())
	}
	return k, nil
}

// Adopted reports whether the kernel side of an earlier agent was taken over.
func (k *Kernel) Adopted() bool { return k.adopted }

func (k *Kernel) parse(sensors []Sensor) error {
	for _, s := range sensors {
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bpf.Object(s.Name)))
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
		k.specs[s.Name] = spec
	}
	return nil
}

// abiHash names everything that makes two kernel sides different.
func (k *Kernel) abiHash() (string, error) {
	h := sha256.New()
	for _, name := range sortedKeys(k.specs) {
		h.Write(bpf.Object(name))
	}
	options, err := json.Marshal(k.options)
	if err != nil {
		return "", fmt.Errorf("hash options: %w", err)
	}
	h.Write(options)
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

func (k *Kernel) openPins() error {
	if k.options.PinRoot == "" {
		return nil
	}
	root := filepath.Clean(k.options.PinRoot)
	if err := mountBPFFS(filepath.Dir(root)); err != nil {
		return err
	}
	hash, err := k.abiHash()
	if err != nil {
		return err
	}
	k.dir = filepath.Join(root, hash)
	return makeDirs(root, k.dir, filepath.Join(k.dir, "maps"), filepath.Join(k.dir, "links"))
}

// Abort undoes what this agent has made: after a failed start nothing is left. What it
// adopted stays as it was.
func (k *Kernel) Abort() error {
	if k.dir == "" || k.adopted {
		return k.Close()
	}
	return k.Remove()
}

// Remove is Close that also takes the kernel side away.
func (k *Kernel) Remove() error {
	for i := len(k.programs) - 1; i >= 0; i-- {
		k.programs[i].remove()
	}
	k.programs = nil
	err := k.Close()
	if k.dir != "" {
		err = errors.Join(err, os.RemoveAll(k.dir))
		os.Remove(filepath.Dir(k.dir)) // stays if another ABI's pins are in it
	}
	return err
}

// Close detaches what is not pinned and lets go of everything else. The pinned
// kernel side goes on without an agent.
func (k *Kernel) Close() error {
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
