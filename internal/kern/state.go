// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stateWords is how many 64-bit words of [State] there are.
const stateWords = 1024

// State is a small array of 64-bit words that survives the agent's death: pinned,
// and written through shared memory, so that a word is safe as soon as it is set. The
// memory stays mapped as long as the process lives: each record counts in it.
type State struct{ words []uint64 }

// State opens the words.
func (k *Kernel) State() (*State, error) {
	m, err := k.Map(stateMap)
	if err != nil {
		return nil, err
	}
	memory, err := unix.Mmap(m.FD(), 0, 8*stateWords, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map agent state: %w", err)
	}
	return &State{unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), stateWords)}, nil
}

// Get returns word i.
func (s *State) Get(i int) uint64 { return atomic.LoadUint64(&s.words[i]) }

// Set stores word i.
func (s *State) Set(i int, value uint64) { atomic.StoreUint64(&s.words[i], value) }
