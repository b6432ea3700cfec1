// SPDX-License-Identifier: Apache-2.0

// Package kallsyms names addresses of the kernel.
package kallsyms

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Symbol is a symbol of the kernel or, with Module, of one of its modules.
type Symbol struct {
	Name, Module string
	Address      uint64
	Function     bool
}

// Table is the kernel's symbols, read when they are first needed and forgotten when nobody
// has asked for a while: they are some megabytes, and modules and BPF programs come and go.
// It is for any number of goroutines.
type Table struct {
	mutex   sync.Mutex
	entries []entry // by address
	names   []byte
	modules []string
	hidden  bool // that the kernel shows names only
	read    time.Time
	timer   *time.Timer
}

// entry is a symbol as it is kept: name is where in names it begins.
type entry struct {
	address  uint64
	name     uint32
	length   uint16
	module   uint16
	function bool
}

const (
	// linger is how long symbols stay.
	linger = time.Minute
	// fresh is how old they may be where something is not found among them.
	fresh = 2 * time.Second
	path  = "/proc/kallsyms"
)

// ErrHidden tells that the kernel shows no addresses, but names (kernel.kptr_restrict).
var ErrHidden = errors.New("the kernel hides its addresses; set kernel.kptr_restrict to 0 or 1 and give CAP_SYSLOG")

// Load reads the symbols unless they are there.
func (t *Table) Load() error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.load()
}

func (t *Table) load() error {
	if t.timer != nil {
		t.timer.Reset(linger)
	}
	if t.entries != nil {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read kernel symbols: %w", err)
	}
	defer file.Close()
	if err := t.parse(file); err != nil {
		return fmt.Errorf("read kernel symbols: %w", err)
	}
	t.read = time.Now()
	if t.timer == nil {
		t.timer = time.AfterFunc(linger, t.forget)
	}
	return nil
}

func (t *Table) forget() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.entries, t.names, t.modules = nil, nil, nil
}

// parse reads lines "address type name [module]". Of symbols at one address all stay.
func (t *Table) parse(r io.Reader) error {
	t.entries, t.names, t.modules = []entry{}, nil, []string{""}
	numbers := map[string]uint16{"": 0}
	scanner := bufio.NewScanner(r)
	hidden := true
	for scanner.Scan() {
		line := scanner.Bytes()
		space := bytes.IndexByte(line, ' ')
		if space < 0 || len(line) < space+4 {
			continue
		}
		address, err := strconv.ParseUint(string(line[:space]), 16, 64)
		if err != nil {
			continue
		}
		hidden = hidden && address == 0
		name, module, _ := bytes.Cut(line[space+3:], []byte{'\t'})
		number, known := numbers[string(module)]
		if !known && len(t.modules) < 1<<16-1 {
			number = uint16(len(t.modules))
			t.modules = append(t.modules, strings.Trim(string(module), "[]"))
			numbers[string(module)] = number
		}
		kind := line[space+1] | 0x20 // its lower case
		t.entries = append(t.entries, entry{address, uint32(len(t.names)), uint16(min(len(name), 1<<16-1)), number, kind == 't' || kind == 'w'})
		t.names = append(t.names, name[:min(len(name), 1<<16-1)]...)
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	t.hidden = hidden && len(t.entries) > 0
	slices.SortStableFunc(t.entries, func(a, b entry) int {
		switch {
		case a.address < b.address:
			return -1
		case a.address > b.address:
			return 1
		}
		return 0
	})
	return nil
}

func (t *Table) symbol(e entry) Symbol {
	return Symbol{string(t.names[e.name : e.name+uint32(e.length)]), t.modules[e.module], e.address, e.function}
}

// At finds the symbol that an address is in, and how far from its beginning. The symbols are
// read anew where they may be older than what is asked for.
func (t *Table) At(address uint64) (s Symbol, offset uint64, ok bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.load() != nil || t.hidden {
		return Symbol{}, 0, false
	}
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].address > address }) - 1
	if i < 0 || t.entries[i].address == 0 {
		return Symbol{}, 0, false
	}
	// Of several at one address the first is the kernel's own choice.
	for i > 0 && t.entries[i-1].address == t.entries[i].address {
		i--
	}
	s = t.symbol(t.entries[i])
	return s, address - s.Address, true
}

// Named finds a symbol by its name; a function rather than anything else. Its Address is 0
// where the kernel hides it. What is not there is looked for anew: a module may have come.
func (t *Table) Named(name string) (found Symbol, ok bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if found, ok = t.named(name); !ok && time.Since(t.read) > fresh {
		t.entries = nil
		found, ok = t.named(name)
	}
	return found, ok
}

// Address is that of a symbol; the error is [ErrHidden] where the kernel does not tell.
func (t *Table) Address(name string) (uint64, error) {
	s, ok := t.Named(name)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch {
	case !ok:
		return 0, fmt.Errorf("find kernel symbol %s: %w", name, os.ErrNotExist)
	case t.hidden:
		return 0, fmt.Errorf("find kernel symbol %s: %w", name, ErrHidden)
	}
	return s.Address, nil
}

func (t *Table) named(name string) (found Symbol, ok bool) {
	if t.load() != nil {
		return Symbol{}, false
	}
	for _, e := range t.entries {
		if int(e.length) == len(name) && string(t.names[e.name:e.name+uint32(e.length)]) == name && (!ok || e.function && !found.Function) {
			found, ok = t.symbol(e), true
		}
	}
	return found, ok
}

// Each calls fn with every symbol, by address.
func (t *Table) Each(fn func(Symbol)) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err := t.load(); err != nil {
		return err
	}
	for _, e := range t.entries {
		fn(t.symbol(e))
	}
	return nil
}

// Refresh reads the symbols anew if they are not fresh: a program's own symbols come with it.
func (t *Table) Refresh() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if time.Since(t.read) > fresh {
		t.entries = nil
	}
}
