// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/internal/abi"
)

// Losses is what the kernel side has dropped since its maps were made: per place
// and record type, summed over the CPUs.
type Losses [abi.LossPlaces][abi.EventTypes]uint64

// ReadLosses fills in l from the loss counters. It is for one goroutine.
func (k *Kernel) ReadLosses(l *Losses) error {
	m, err := k.Map("loss")
	if err != nil {
		return err
	}
	if k.perCPU == nil {
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return fmt.Errorf("read loss counters: %w", err)
		}
		k.perCPU = make([]Losses, cpus)
	}
	return l.read(m, k.perCPU)
}

// read takes a buffer of one Losses for each possible CPU.
func (l *Losses) read(m *ebpf.Map, perCPU []Losses) error {
	if err := m.Lookup(uint32(0), perCPU); err != nil {
		return fmt.Errorf("read loss counters: %w", err)
	}
	*l = Losses{}
	for _, counts := range perCPU {
		for place := range counts {
			for kind, n := range counts[place] {
				l[place][kind] += n
			}
		}
	}
	return nil
}
