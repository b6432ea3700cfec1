// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"
	"time"
)

// How long an address keeps its name: as long as the answer says, within these. Clients
// go on using an address that was only just valid.
const (
	minHold = time.Minute
	maxHold = 24 * time.Hour
)

// Bounds of a [Names].
const (
	maxPlaces   = 16384
	maxPerPlace = 4
)

// Names remembers which names addresses were the answer for. One address may serve
// many names, so the few last are kept, and whoever asked for one of them meant that.
type Names struct {
	places map[place]*named
	// Least recently learnt first: a ring whose head is no entry.
	head named
}

// place is an address in a network namespace; elsewhere the same address may be another.
type place struct {
	netns uint32
	addr  netip.Addr
}

type named struct {
	place      place
	names      []name // latest first
	prev, next *named
}

type name struct {
	text    string
	process string // who asked: its process id
	untilNS uint64
}

// NewNames returns an empty memory.
func NewNames() *Names {
	n := &Names{places: map[place]*named{}}
	n.head.prev, n.head.next = &n.head, &n.head
	return n
}

// learn takes down an answer that came at a boot time.
func (n *Names) learn(p place, text, process string, ttl uint32, nowNS uint64) {
	e := n.places[p]
	if e == nil {
		if len(n.places) >= maxPlaces {
			n.drop(n.head.next)
		}
		e = &named{place: p}
		n.places[p] = e
	} else {
		e.unlink()
	}
	e.prev, e.next = n.head.prev, &n.head
	e.prev.next, e.next.prev = e, e
	hold := min(max(time.Duration(ttl)*time.Second, minHold), maxHold)
	e.put(name{text, process, nowNS + uint64(hold)})
}

// put makes a name the latest, and drops its older self or the oldest.
func (e *named) put(latest name) {
	at := len(e.names)
	for i, old := range e.names {
		if old.text == latest.text && old.process == latest.process {
			at = i
			break
		}
	}
	switch {
	case at < len(e.names):
	case at < maxPerPlace:
		e.names = append(e.names, name{})
	default:
		at--
	}
	copy(e.names[1:at+1], e.names[:at])
	e.names[0] = latest
}

// Of returns the name by which a process knows an address at a boot time: the last that
// it asked for itself, else the last that anybody in its network namespace asked for;
// "" if there is none.
func (n *Names) Of(netns uint32, addr netip.Addr, process string, nowNS uint64) string {
	e := n.places[place{netns, addr}]
	if e == nil {
		return ""
	}
	last := ""
	for _, known := range e.names {
		switch {
		case known.untilNS < nowNS:
		case known.process == process:
			return known.text
		case last == "":
			last = known.text
		}
	}
	return last
}

func (n *Names) drop(e *named) {
	e.unlink()
	delete(n.places, e.place)
}

func (e *named) unlink() { e.prev.next, e.next.prev = e.next, e.prev }
