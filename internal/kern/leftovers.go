// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/skep-io/skep/internal/abi"
)

// Leftover is the kernel side of an agent with another ABI, or a damaged one, as it was
// when it was taken away. What could not be read of it is empty.
type Leftover struct {
	// Records that waited in its rings, by record type. Their layout may be another one, but
	// every record starts with type, version, length and time, so they can be counted.
	Records map[uint16]uint64
	// Words of its [State].
	Words []uint64
	// Losses that its programs had counted.
	Losses Losses
}

// RemoveLeftovers takes away the kernel sides of agents with another ABI and says what
// they held, and what was found damaged under this agent's own. It is called after this
// agent's own programs are attached, which was finished at attachedNS (boot time): later
// records in the old rings are in the new ones too and are not counted.
func (k *Kernel) RemoveLeftovers(attachedNS uint64) (left []Leftover, err error) {
	if k.broken != nil {
		left, k.broken = append(left, *k.broken), nil
	}
	if k.dir == "" {
		return left, nil
	}
	dirs, err := abiDirs(filepath.Dir(k.dir))
	if err != nil {
		return left, err
	}
	for _, dir := range dirs {
		if dir == k.dir {
			continue
		}
		one, err := takeAway(dir, attachedNS)
		left = append(left, one)
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

// takeAway removes the pins of one ABI, and counts what they held.
func takeAway(dir string, untilNS uint64) (Leftover, error) {
	left := Leftover{Records: map[uint16]uint64{}}
	// Detach first, so that the counts are final.
	if err := os.RemoveAll(filepath.Join(dir, "links")); err != nil {
		return left, fmt.Errorf("remove old links: %w", err)
	}
	maps := filepath.Join(dir, "maps")
	for _, name := range []string{"critical", "telemetry"} {
		withPin(filepath.Join(maps, name), func(m *ebpf.Map) { left.countRecords(m, untilNS) })
	}
	withPin(filepath.Join(maps, flowsMap), left.countFlows)
	withPin(filepath.Join(maps, stateMap), left.readWords)
	withPin(filepath.Join(maps, "loss"), func(m *ebpf.Map) { left.readLosses(m) })
	return left, removePins(dir)
}

// withPin calls fn with a pinned map, if it is there: in the remains of a start that was
// killed there is nothing to read.
func withPin(pin string, fn func(*ebpf.Map)) {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		return
	}
	defer m.Close()
	fn(m)
}

func (l *Leftover) countRecords(m *ebpf.Map, untilNS uint64) {
	r, err := openRing(m)
	if err != nil {
		return
	}
	defer r.close()
	at := unsafe.Offsetof(abi.EventHeader{}.BootNS)
	r.drain(r.produced(), func(record []byte) {
		if len(record) >= int(at)+8 && binary.NativeEndian.Uint64(record[at:]) < untilNS {
			l.Records[binary.NativeEndian.Uint16(record)]++
		}
	})
}

// flowsMap is where bpf/udp counts: each entry would have made a record.
const flowsMap = "udp_flows"

// countFlows counts them instead of what the ring says of UDP, which is that sockets were
// closed whose flows are here.
func (l *Leftover) countFlows(m *ebpf.Map) {
	delete(l.Records, uint16(abi.EventUdp))
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	for entries := m.Iterate(); entries.Next(&key, &value); {
		l.Records[uint16(abi.EventUdp)]++
	}
}

func (l *Leftover) readWords(m *ebpf.Map) {
	if m.Type() != ebpf.Array || m.ValueSize() != 8 {
		return
	}
	words := make([]uint64, m.MaxEntries())
	for i := range words {
		if m.Lookup(uint32(i), &words[i]) != nil {
			return
		}
	}
	l.Words = words
}

func (l *Leftover) readLosses(m *ebpf.Map) {
	if m.Type() == ebpf.PerCPUArray && m.ValueSize() == uint32(unsafe.Sizeof(l.Losses)) {
		if cpus, err := ebpf.PossibleCPU(); err == nil {
			_ = l.Losses.read(m, make([]Losses, cpus)) // what cannot be read is not known
		}
	}
}
