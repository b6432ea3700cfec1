// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf/link"
)

// Scan runs an iterator program of a sensor's object once and returns what it wrote.
func (k *Kernel) Scan(s Sensor, program string) ([]byte, error) {
	collection, _, err := k.loadRung(s, []string{program}, nil)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", program, err)
	}
	defer collection.Close()
	l, err := link.AttachIter(link.IterOptions{Program: collection.Programs[program]})
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", program, err)
	}
	defer l.Close()
	reader, err := l.Open()
	if err != nil {
		return nil, fmt.Errorf("scan %s: open: %w", program, err)
	}
	defer reader.Close()
	out, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("scan %s: read: %w", program, err)
	}
	return out, nil
}
