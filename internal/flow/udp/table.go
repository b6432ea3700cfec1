// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/flow"
)

const (
	// IdleAfter is how long after its last datagram a flow has ended.
	IdleAfter = 30 * time.Second
	// TellEvery is how often a flow that goes on makes a record.
	TellEvery = time.Minute

	passEvery = 5 * time.Second
	// closedWithin is how soon the flows of a closed socket are told of: they wait for
	// each other, for a pass takes time in proportion to all flows.
	closedWithin = time.Second
	// settles is more than a datagram takes that met the socket before its close.
	settles = 20 * time.Millisecond
)

// Source is where flows are counted: a kern.Entries.
type Source interface {
	Each(fn func(*abi.UdpKey, *abi.UdpFlow)) error
	Take(key *abi.UdpKey) (value abi.UdpFlow, ok bool, err error)
}

// Options are what a [Table] needs to know of its host.
type Options struct {
	// Wall turns CLOCK_BOOTTIME nanoseconds into wall time.
	Wall func(bootNS uint64) time.Time
	// Name tells by which name a process knows an address at a boot time, "" for none.
	Name func(netns uint32, address netip.Addr, processID string, bootNS uint64) string
	// Publish takes a record whose process and body are set, and its boot time in nanoseconds.
	Publish func(bootNS uint64, r *skepv1.Record)
}

// Now is one moment by both clocks, in nanoseconds.
type Now struct{ Boot, Monotonic uint64 }

// Table is the UDP flows of one host. All but List, Of and Open is for one goroutine.
type Table struct {
	options Options
	closed  map[uint64]uint64 // sockets, and the boot time at which they were closed
	passed  uint64            // boot time of the last pass
	passes  uint64

	mu    sync.RWMutex
	flows map[abi.UdpKey]*udpFlow
	ends  map[ends]*udpFlow // the last one with these ends
}

// ends name a flow as seen from its socket; loopback addresses mean another place in each
// network namespace.
type ends struct {
	local, remote flow.End
	netns         uint32 // of loopback addresses
}

func (e ends) reverse() ends { return ends{e.remote, e.local, e.netns} }

// New returns an empty table.
func New(options Options) *Table {
	return &Table{
		options: options, closed: map[uint64]uint64{},
		flows: map[abi.UdpKey]*udpFlow{}, ends: map[ends]*udpFlow{},
	}
}

// maxClosed bounds the sockets that wait for a pass. The flows of others end when idle.
const maxClosed = 1 << 16

// Closed takes note that a socket which has flows was closed.
func (t *Table) Closed(socket, bootNS uint64) {
	if len(t.closed) < maxClosed {
		t.closed[socket] = bootNS
	}
}

// Due tells whether a pass is due at a boot time.
func (t *Table) Due(nowNS uint64) bool {
	after := passEvery
	if len(t.closed) > 0 {
		after = closedWithin
	}
	return nowNS >= t.passed+uint64(after)
}

// Pass reads what is counted, and makes the records that are due.
func (t *Table) Pass(source Source, now Now, resolve flow.Resolve) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed = now.Boot
	t.passes++
	err := source.Each(func(k *abi.UdpKey, v *abi.UdpFlow) { t.see(k, v, now, resolve) })
	if err != nil {
		return err
	}
	var all []due
	for key, f := range t.flows {
		if d, ok := t.owes(key, f, now); ok {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b due) int { return cmp.Compare(a.atNS, b.atNS) })
	for _, d := range all {
		if err := t.tell(source, d); err != nil {
			return err
		}
	}
	for socket, at := range t.closed {
		if at+uint64(settles) <= now.Boot {
			delete(t.closed, socket)
		}
	}
	return nil
}

// Abandon tells of all flows, because nobody will.
func (t *Table) Abandon(source Source, now Now, resolve flow.Resolve) error {
	if err := t.Pass(source, now, resolve); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.flows {
		if err := t.tell(source, due{key, f, "abandoned", now.Boot}); err != nil {
			return err
		}
	}
	return nil
}

// see takes the counts of one flow.
func (t *Table) see(k *abi.UdpKey, v *abi.UdpFlow, now Now, resolve flow.Resolve) {
	f := t.flows[*k]
	if f == nil {
		f = newFlow(k, v)
		t.flows[*k] = f
		t.link(f)
	}
	if v.Owner != f.counts.Owner || f.process == nil {
		f.process = nil
		if v.Owner.Tgid != 0 {
			f.process = resolve(v.Owner)
		}
		if t.options.Name != nil && !f.inbound() {
			f.remoteName = t.options.Name(v.Netns, f.ends.remote.Addr(), f.process.GetProcessId(), v.FirstNS)
		}
	}
	f.counts, f.now, f.pass = *v, now, t.passes
}

// due is a record that is to be made.
type due struct {
	key    abi.UdpKey
	flow   *udpFlow
	reason string // why the flow has ended, "" if it goes on
	atNS   uint64
}

// owes tells which record a flow is due, if any.
func (t *Table) owes(key abi.UdpKey, f *udpFlow, now Now) (due, bool) {
	closedNS, closed := t.closed[key.Socket]
	switch {
	case f.pass != t.passes: // somebody else has deleted it
		t.leave(key, f)
	case closed && closedNS+uint64(settles) <= now.Boot:
		return due{key, f, "closed", closedNS}, true
	case f.idle() >= IdleAfter:
		return due{key, f, "idle", now.Boot}, true
	case now.Boot >= max(f.toldNS, f.counts.FirstNS)+uint64(TellEvery):
		return due{key, f, "", now.Boot}, true
	}
	return due{}, false
}

// tell makes a record. With its last one a flow leaves the kernel's map, and its last
// counts with it.
func (t *Table) tell(source Source, d due) error {
	if d.reason != "" {
		last, ok, err := source.Take(&d.key)
		if err != nil {
			return err
		}
		if ok {
			d.flow.counts = last
		}
		defer t.leave(d.key, d.flow)
	}
	d.flow.toldNS = d.atNS
	t.options.Publish(d.atNS, d.flow.record(d.reason, d.atNS))
	return nil
}

func (t *Table) leave(key abi.UdpKey, f *udpFlow) {
	delete(t.flows, key)
	if t.ends[f.ends] == f {
		delete(t.ends, f.ends)
	}
	f.other = nil // keeps no chain of the dead alive; the other end still points here
}

// link finds the other end of a flow on this host.
func (t *Table) link(f *udpFlow) {
	t.ends[f.ends] = f
	if other := t.ends[f.ends.reverse()]; other != nil && other != f {
		f.other, other.other = other, f
	}
}

// Open is how many flows there were at the last pass, less those that ended with it.
func (t *Table) Open() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.flows)
}
