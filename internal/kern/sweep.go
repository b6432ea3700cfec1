// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"

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
	for _, tgid := range stale {
		_ = m.Delete(tgid) // gone meanwhile is as good
	}
	if err := it.Err(); err != nil {
		return len(stale), fmt.Errorf("sweep process records: %w", err)
	}
	return len(stale), nil
}
