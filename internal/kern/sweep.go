// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/internal/abi"
)

// Sweep deletes the kernel's process records that keep refuses: those of processes
// whose exit no program saw. It returns how many there were.
func (k *Kernel) Sweep(keep func(*abi.Process) bool) (int, error) {
	m, err := k.Map("processes")
	if err != nil {
		return 0, err
	}
	var stale []uint32
	var tgid uint32
	var p abi.Process
	it := m.Iterate()
	for it.Next(&tgid, &p) {
		if !keep(&p) {
			stale = append(stale, tgid)
		}
	}
	removed := 0
	for _, tgid := range stale {
		// Asked again, because the tgid may have been given to a new process since.
		if m.Lookup(tgid, &p) == nil && !keep(&p) && m.Delete(tgid) == nil {
			removed++
		}
	}
	// On a busy host the records move under the iterator, and it may give up. What it has
	// not come to costs room until the next sweep, and nothing else.
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return removed, fmt.Errorf("sweep process records: %w", err)
	}
	return removed, nil
}
