// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"

	"github.com/skep-io/skep/internal/abi"
)

// Losses is what the kernel side has dropped since its maps were made: per place
// and record type, summed over the CPUs.
type Losses [abi.LossPlaces][abi.EventTypes]uint64

// ReadLosses fills in l from the loss counters.
func (k *Kernel) ReadLosses(l *Losses) error {
	m, err := k.Map("loss")
	if err != nil {
		return err
	}
	var perCPU []uint64
	for place := range l {
		for kind := range l[place] {
			key := uint32(place)*uint32(abi.EventTypes) + uint32(kind)
			if err := m.Lookup(key, &perCPU); err != nil {
				return fmt.Errorf("read loss counter %d: %w", key, err)
			}
			l[place][kind] = 0
			for _, n := range perCPU {
				l[place][kind] += n
			}
		}
	}
	return nil
}
