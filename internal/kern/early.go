// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"sync"

	"github.com/cilium/ebpf"
)

// early are the loads that [Kernel.Prepare] has begun and nobody has taken yet.
type early struct {
	group sync.WaitGroup
	mutex sync.Mutex
	loads map[string]*load
}

// load is what became of loading the programs of a rung, once done is closed.
type load struct {
	done     chan struct{}
	left     bool // it was not tried, as a better rung loads
	programs map[string]*ebpf.Program
	spec     *ebpf.CollectionSpec
	err      error
}

// Prepare begins to load what [Kernel.Attach] and [Kernel.Scan] will ask for, and returns at
// once: so all CPUs verify programs until all sensors are attached, where a rung has often one
// long program, or a single one. Of each ladder it loads the best rung that loads. What nobody
// has asked for until [Kernel.Settle] is let go.
func (k *Kernel) Prepare(sensors ...Sensor) {
	if k.adopted { // nearly all is there
		return
	}
	for _, s := range sensors {
		for _, ladder := range s.Ladders {
			k.loadEarly(s, ladder)
		}
		for _, program := range s.Scans {
			k.loadEarly(s, Ladder{Rungs: []Rung{*scanRung(program)}})
		}
	}
}

// scanRung is the rung that a program for [Kernel.Scan] would be, in no ladder.
func scanRung(program string) *Rung { return &Rung{Name: program, Programs: []string{program}} }

func loadKey(s Sensor, ladder Ladder, rung *Rung) string {
	return s.Name + "/" + ladder.Signal + "/" + rung.Name
}

func (k *Kernel) loadEarly(s Sensor, ladder Ladder) {
	var rungs []*Rung
	var loads []*load
	k.early.mutex.Lock()
	defer k.early.mutex.Unlock()
	if k.early.loads == nil {
		k.early.loads = map[string]*load{}
	}
	for i := range ladder.Rungs {
		rung := &ladder.Rungs[i]
		if forced := k.options.Force[ladder.Signal]; forced != "" && forced != rung.Name {
			continue
		}
		l := &load{done: make(chan struct{})}
		k.early.loads[loadKey(s, ladder, rung)] = l
		rungs, loads = append(rungs, rung), append(loads, l)
	}
	k.early.group.Go(func() {
		loaded := false
		for i, l := range loads {
			if l.left = loaded; !loaded {
				l.programs, l.spec, l.err = k.load(s, rungs[i].Programs, rungs[i].Config)
				loaded = l.err == nil
			}
			close(l.done)
		}
	})
}

// loadRung loads the programs of a rung, unless that was done before. The caller closes them.
func (k *Kernel) loadRung(s Sensor, ladder Ladder, rung *Rung) (map[string]*ebpf.Program, *ebpf.CollectionSpec, error) {
	key := loadKey(s, ladder, rung)
	k.early.mutex.Lock()
	l := k.early.loads[key]
	delete(k.early.loads, key)
	k.early.mutex.Unlock()
	if l != nil {
		<-l.done
		if !l.left {
			return l.programs, l.spec, l.err
		}
	}
	return k.load(s, rung.Programs, rung.Config)
}

// dropEarly lets go of what nobody has taken.
func (k *Kernel) dropEarly() {
	k.early.group.Wait()
	k.early.mutex.Lock()
	defer k.early.mutex.Unlock()
	for _, l := range k.early.loads {
		closeAll(l.programs)
	}
	k.early.loads = nil
}
