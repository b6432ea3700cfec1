// SPDX-License-Identifier: Apache-2.0

package ctype

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// scope is where types are looked up: the kernel itself, or one of its modules with what that takes from the kernel.
type scope struct {
	spec   *btf.Spec
	module string      // "" is the kernel itself
	mutex  *sync.Mutex // of modules: the library's cache decodes what they take from the kernel without a lock (v0.22)
}

// in is the scope of a module, or of the kernel itself.
func (k *Kernel) in(module string) (scope, error) {
	if module == "" {
		spec, err := k.Cache().Kernel()
		return scope{spec: spec}, err
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.touch()
	if k.modules == nil { // not the programs' cache, which they use without our lock
		k.modules = btf.NewCache()
	}
	k.decoding.Lock()
	defer k.decoding.Unlock()
	spec, err := k.modules.Module(module)
	return scope{spec, module, &k.decoding}, err
}

func (in scope) lock() func() {
	if in.mutex == nil {
		return func() {}
	}
	in.mutex.Lock()
	return in.mutex.Unlock
}

func (in scope) byName(name string, t any) error {
	defer in.lock()()
	return in.spec.TypeByName(name, t)
}

func (in scope) byID(id uint32) btf.Type {
	defer in.lock()()
	t, err := in.spec.TypeByID(btf.TypeID(id))
	if err != nil {
		return nil
	}
	return t
}

// tagged finds a type by its tag (struct, union, enum or none) and name, nil if there is none.
func (in scope) tagged(tag, name string) btf.Type {
	defer in.lock()()
	found, err := in.spec.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range found {
		if _, isFunc := t.(*btf.Func); !isFunc && tagOf(t) == tag {
			return t
		}
	}
	return nil
}

// find looks for a type in the kernel itself and, if it has a tag, in its modules in the order of their names. What
// has no tag is often asked for in vain, which would decode all modules.
func (k *Kernel) find(tag, name string) (scope, btf.Type) {
	in, err := k.in("")
	if err != nil {
		return in, nil
	}
	if t := in.tagged(tag, name); t != nil || tag == "" {
		return in, t
	}
	for _, module := range Modules() {
		if in, err := k.in(module); err == nil {
			if t := in.tagged(tag, name); t != nil {
				return in, t
			}
		}
	}
	return in, nil
}

// resolve finds a type by its reference: "struct x", or "#17" or "#17 module", the number of one without a name.
func (k *Kernel) resolve(ref string) (scope, btf.Type) {
	tag, name, _ := strings.Cut(ref, " ")
	var id uint32
	if n, err := fmt.Sscanf(tag, "#%d", &id); n != 1 || err != nil {
		return k.find(tag, name)
	}
	in, err := k.in(name)
	if err != nil {
		return in, nil
	}
	return in, in.byID(id)
}

// CacheFor is for loading a program that is put on a function. One of a module gets a cache of its own, for the same
// reason as modules have one here.
func (k *Kernel) CacheFor(function string) *btf.Cache {
	if k != nil {
		if names, err := k.Names(); err == nil {
			if _, ok := slices.BinarySearch(names.Functions, function); !ok {
				return btf.NewCache()
			}
		}
	}
	return k.Cache()
}

// Modules are the names of the loaded modules that show types, sorted.
func Modules() []string {
	entries, err := os.ReadDir(filepath.Dir(vmlinux))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Name() != filepath.Base(vmlinux) {
			names = append(names, e.Name())
		}
	}
	return names
}

// Functions are the names of a module's functions, sorted.
func (k *Kernel) Functions(module string) ([]string, error) {
	in, err := k.in(module)
	if err != nil {
		return nil, fmt.Errorf("read types of module %s: %w", module, err)
	}
	defer in.lock()()
	var names []string
	for t, err := range in.spec.All() {
		if err != nil {
			return nil, fmt.Errorf("read types of module %s: %w", module, err)
		}
		if f, ok := t.(*btf.Func); ok {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
