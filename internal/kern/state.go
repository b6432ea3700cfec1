// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
)

// stateWords is how many 64-bit words of [State] there are.
const stateWords = 512

// State is a small array of 64-bit words that survives the agent's death: pinned,
// and written through shared memory, so that a word is safe as soon as it is set.
type State struct{ memory *ebpf.Memory }

// State opens the words.
func (k *Kernel) State() (*State, error) {
	m, err := k.Map(stateMap)
	if err != nil {
		return nil, err
	}
	memory, err := m.Memory()
	if err != nil {
		return nil, fmt.Errorf("map agent state: %w", err)
	}
	return &State{memory}, nil
}

// Get returns word i.
func (s *State) Get(i int) uint64 {
	var word [8]byte
	if _, err := s.memory.ReadAt(word[:], int64(i)*8); err != nil {
		panic(err) // an index out of range is a programming error
	}
	return binary.NativeEndian.Uint64(word[:])
}

// Set stores word i.
func (s *State) Set(i int, value uint64) {
	var word [8]byte
	binary.NativeEndian.PutUint64(word[:], value)
	if _, err := s.memory.WriteAt(word[:], int64(i)*8); err != nil {
		panic(err)
	}
}
