// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// Leftovers is what an agent with another ABI had left behind, and lost with it.
type Leftovers struct {
	// Directories removed, one per ABI.
	Directories int
	// Records that waited in its rings, by record type. Their layout may be another one, but
	// every record starts with type, version and length, so they can be counted.
	Records map[uint16]uint64
}

// RemoveLeftovers takes away the kernel side of agents with another ABI, after
// this agent's own is attached, and says what waited in its rings.
func (k *Kernel) RemoveLeftovers() (Leftovers, error) {
	left := Leftovers{Records: map[uint16]uint64{}}
	if k.dir == "" {
		return left, nil
	}
	root := filepath.Dir(k.dir)
	entries, err := os.ReadDir(root)
	if err != nil {
		return left, fmt.Errorf("list pins: %w", err)
	}
	for _, entry := range entries {
		dir := filepath.Join(root, entry.Name())
		if dir == k.dir || !entry.IsDir() {
			continue
		}
		// Detach first, so that the count is final.
		if err := os.RemoveAll(filepath.Join(dir, "links")); err != nil {
			return left, fmt.Errorf("remove old links: %w", err)
		}
		for _, ring := range []string{"critical", "telemetry"} {
			countRecords(filepath.Join(dir, "maps", ring), left.Records)
		}
		if err := os.RemoveAll(dir); err != nil {
			return left, fmt.Errorf("remove old pins: %w", err)
		}
		left.Directories++
	}
	return left, nil
}

func countRecords(pin string, counts map[uint16]uint64) {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		return // a half-made directory has no rings: nothing can have waited
	}
	defer m.Close()
	r, err := openRing(m)
	if err != nil {
		return
	}
	defer r.close()
	r.drain(r.produced(), func(record []byte) {
		if len(record) >= 2 {
			counts[binary.NativeEndian.Uint16(record)]++
		}
	})
}

// RemovePins takes away everything that is pinned below a pin root, of every ABI: no
// program, link or map of skep is left once no agent holds it.
func RemovePins(pinRoot string) error {
	if err := os.RemoveAll(pinRoot); err != nil {
		return fmt.Errorf("remove pins: %w", err)
	}
	return nil
}
