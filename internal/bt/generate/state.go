// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/vm"
)

// Store is where a script leaves what it did: a machine or the kernel.
type Store interface {
	// Entries calls fn with every key of a map and its values: one, or one for each processor.
	Entries(name string, fn func(key []byte, values [][]byte)) error
	// Records are those of the ring, which are taken out.
	Records() [][]byte
}

// Left is all that a script left somewhere, as text: entries of its maps byte by byte, and
// records without what nobody looks at, the bytes behind the end of a text.
func Left(script *bt.Script, s Store) (string, error) {
	var out strings.Builder
	for _, m := range script.Maps {
		if !m.User && m.Name != "full" && m.Name != "loss" {
			continue
		}
		var lines []string
		err := s.Entries(m.Name, func(key []byte, values [][]byte) {
			lines = append(lines, fmt.Sprintf("%s[%x] = %x\n", m.Name, key, values))
		})
		if err != nil {
			return "", err
		}
		slices.Sort(lines)
		out.WriteString(strings.Join(lines, ""))
	}
	for _, record := range s.Records() {
		action := script.Actions[binary.LittleEndian.Uint64(record)]
		fmt.Fprintf(&out, "record %d of %d bytes:", binary.LittleEndian.Uint64(record), len(record))
		for _, f := range action.Args {
			fmt.Fprintf(&out, " %s", Show(f.Type, record[f.Offset:]))
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}

// Show is a value by its type.
func Show(t bt.Type, b []byte) string {
	switch t.Kind {
	case bt.None:
		return ""
	case bt.String:
		text, _, _ := strings.Cut(string(b[:t.Size]), "\x00")
		return text
	case bt.Tuple:
		var parts []string
		for _, f := range t.Fields {
			parts = append(parts, Show(f.Type, b[f.Offset:]))
		}
		return strings.Join(parts, ",")
	}
	if t.Signed {
		return fmt.Sprint(int64(binary.LittleEndian.Uint64(b)))
	}
	return fmt.Sprint(binary.LittleEndian.Uint64(b))
}

// Machine is a machine with the maps of a script.
type Machine struct {
	*vm.Machine
	script *bt.Script
	cpus   int
}

var mapTypes = map[bt.MapKind]vm.MapType{
	bt.Hash: vm.Hash, bt.PerCPUHash: vm.PerCPUHash, bt.LRUHash: vm.LRUHash, bt.LRUPerCPUHash: vm.LRUPerCPUHash,
	bt.Array: vm.Array, bt.PerCPUArray: vm.PerCPUArray, bt.Ring: vm.RingBuffer, bt.StackTrace: vm.StackTrace,
}

// NewMachine makes the machine, with its own copy of the host.
func NewMachine(script *bt.Script, host vm.Host) (*Machine, error) {
	var specs []vm.MapSpec
	for _, m := range script.Maps {
		specs = append(specs, vm.MapSpec{Name: m.Name, Type: mapTypes[m.Kind], KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries})
	}
	m, err := vm.New(vm.Options{Maps: specs, Host: &host})
	if err != nil {
		return nil, err
	}
	return &Machine{m, script, max(1, host.CPUs)}, nil
}

// Entries implements [Store].
func (m *Machine) Entries(name string, fn func(key []byte, values [][]byte)) error {
	held := m.Map(name)
	cpus := 1
	switch held.Spec().Type {
	case vm.PerCPUHash, vm.PerCPUArray, vm.LRUPerCPUHash:
		cpus = m.cpus
	}
	for _, key := range held.Keys() {
		var values [][]byte
		for cpu := range cpus {
			values = append(values, held.LookupCPU(key, cpu))
		}
		fn(key, values)
	}
	return nil
}

// Records implements [Store].
func (m *Machine) Records() [][]byte { return m.Map("ring").Records() }
