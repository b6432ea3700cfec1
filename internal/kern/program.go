// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Program is one attached program.
type Program struct {
	// Name in the object, and the section that says where it is attached.
	Name, Hook string

	sensor  string
	signal  string
	rung    string
	link    link.Link
	program *ebpf.Program
	pin     string
	adopted bool

	id           uint32
	instructions uint32
}

// newProgram notes what is fixed of a program: asking for it has the kernel copy out the
// program's whole code.
func newProgram(name, hook string, l link.Link, program *ebpf.Program) *Program {
	p := &Program{Name: name, Hook: hook, link: l, program: program}
	if info, err := program.Info(); err == nil {
		id, _ := info.ID()
		p.id = uint32(id)
		p.instructions, _ = info.VerifiedInstructions()
	}
	return p
}

// iterates tells of a program that runs only when it is asked to: there is nothing to pin.
func (p *Program) iterates() bool {
	_, ok := p.link.(*link.Iter)
	return ok
}

// close lets go of the link; a pinned one stays attached.
func (p *Program) close() error {
	return errors.Join(p.link.Close(), p.program.Close())
}

// remove detaches the program for good.
func (p *Program) remove() {
	if p.pin != "" {
		os.Remove(p.pin)
		os.Remove(filepath.Dir(p.pin)) // fails while others are in it
	}
	p.close()
}

// ProgramStats is what one program costs.
type ProgramStats struct {
	Name, Hook   string
	ID           uint32
	Instructions uint32
	// Adopted: an earlier agent has attached it, and Missed counts since then.
	Adopted bool
	// Runs and RunTime count only while statistics were on; Missed always. Missed is what
	// no other program has made good.
	Runs    uint64
	RunTime time.Duration
	Missed  uint64
}

// Stats reads the kernel's run-time statistics of every attached program, in one system
// call each.
func (k *Kernel) Stats() []ProgramStats {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	all := make([]ProgramStats, len(k.programs))
	missed := map[string]uint64{}
	for i, p := range k.programs {
		all[i] = ProgramStats{Name: p.Name, Hook: p.Hook, ID: p.id, Instructions: p.instructions, Adopted: p.adopted}
		if stats, err := p.program.Stats(); err == nil {
			all[i].Runs, all[i].RunTime = stats.RunCount, stats.Runtime
			missed[p.Name] = stats.RecursionMisses
		}
	}
	for i := range all {
		all[i].Missed = k.unrescued(all[i].Name, missed)
	}
	return all
}

// unrescued takes off what another program has made good.
func (k *Kernel) unrescued(program string, misses map[string]uint64) uint64 {
	missed := misses[program]
	for _, r := range k.rescues {
		if r.By == program {
			return 0
		}
		if r.Program != program || missed == 0 {
			continue
		}
		var perCPU []uint64
		if m := k.maps[r.Counter]; m != nil && m.Lookup(uint32(0), &perCPU) == nil {
			for _, n := range perCPU {
				missed -= min(n, missed)
			}
		}
		if r.Both {
			missed = min(missed, misses[r.By])
		}
	}
	return missed
}

// forgetRescues begins anew for a program that is about to be attached anew: its misses
// begin at 0, and the counter of what another has made good may be from before: in an
// adopted map, or of a sensor that was detached.
func (k *Kernel) forgetRescues(program string) error {
	k.mutex.Lock()
	rescues := slices.Clone(k.rescues)
	k.mutex.Unlock()
	for _, r := range rescues {
		if r.Program != program {
			continue
		}
		m, err := k.Map(r.Counter)
		if err != nil {
			continue // there is none on this rung
		}
		cpus, err := ebpf.PossibleCPU()
		if err == nil {
			err = m.Put(uint32(0), make([]uint64, cpus))
		}
		if err != nil {
			return fmt.Errorf("reset counter %s: %w", r.Counter, err)
		}
	}
	return nil
}

// MapStats is the memory that one map takes in the kernel.
type MapStats struct {
	Name, Type string
	Bytes      uint64
	MaxEntries uint32
}

// MapMemory lists the shared maps with their size as the kernel accounts it.
func (k *Kernel) MapMemory() []MapStats {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var all []MapStats
	for _, name := range sortedKeys(k.maps) {
		m := k.maps[name]
		s := MapStats{Name: name, Type: m.Type().String(), MaxEntries: m.MaxEntries()}
		if info, err := m.Info(); err == nil {
			s.Bytes, _ = info.Memlock()
		}
		all = append(all, s)
	}
	return all
}

// Meter turns the kernel's program statistics on only while somebody looks: they
// cost every BPF program of the host, also those of others, two clock reads a run.
type Meter struct {
	mutex sync.Mutex
	stats io.Closer
	until time.Time
}

// meterLinger is how long statistics stay on after the last look, so that a
// watcher or a scraper that comes back sees an unbroken count.
const meterLinger = 75 * time.Second

// Look turns statistics on, or keeps them on, and reports whether they were on already.
func (m *Meter) Look() (bool, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.until = time.Now().Add(meterLinger)
	if m.stats != nil {
		return true, nil
	}
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return false, fmt.Errorf("turn on program statistics: %w", err)
	}
	m.stats = stats
	time.AfterFunc(meterLinger, m.expire)
	return false, nil
}

func (m *Meter) expire() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.stats == nil {
		return
	}
	if left := time.Until(m.until); left > 0 {
		time.AfterFunc(left, m.expire)
		return
	}
	m.stats.Close()
	m.stats = nil
}
