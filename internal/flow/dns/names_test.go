// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	n := NewNames()
	here, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	second := uint64(time.Second)
	n.learn(place{1, here}, "a.example", "p1", 300, 0)
	n.learn(place{1, here}, "b.example", "p2", 300, second)
	n.learn(place{2, here}, "elsewhere.example", "p1", 300, second)
	n.learn(place{1, other}, "short.example", "p1", 5, second)
	n.learn(place{1, netip.MustParseAddr("192.0.2.9")}, "long.example", "p1", 1<<31, second)
	for _, tt := range []struct {
		name    string
		netns   uint32
		addr    string
		process string
		at      uint64
		want    string
	}{
		{"what it asked for itself", 1, "192.0.2.1", "p1", 2 * second, "a.example"},
		{"the other one", 1, "192.0.2.1", "p2", 2 * second, "b.example"},
		{"somebody else, the last", 1, "192.0.2.1", "p3", 2 * second, "b.example"},
		{"another namespace", 2, "192.0.2.1", "p3", 2 * second, "elsewhere.example"},
		{"nobody has asked there", 3, "192.0.2.1", "p1", 2 * second, ""},
		{"one has expired", 1, "192.0.2.1", "p1", 300*second + 1, "b.example"},
		{"both have", 1, "192.0.2.1", "p1", 302 * second, ""},
		{"at least a minute", 1, "2001:db8::1", "p1", 60 * second, "short.example"},
		{"not for much more", 1, "2001:db8::1", "p1", 62 * second, ""},
		{"at most a day", 1, "192.0.2.9", "p1", 86402 * second, ""},
	} {
		if got := n.Of(tt.netns, netip.MustParseAddr(tt.addr), tt.process, tt.at); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNamesRenewAndBound(t *testing.T) {
	n := NewNames()
	here := place{1, netip.MustParseAddr("192.0.2.1")}
	for i, text := range []string{"a", "b", "c", "d", "a", "e"} {
		n.learn(here, text, "p", 60, uint64(i))
	}
	got := ""
	for _, known := range n.places[here].names {
		got += known.text
	}
	if got != "eadc" {
		t.Errorf("names %q, want the last four, latest first", got)
	}
	for i := range uint32(3 * maxPlaces) {
		n.learn(here, "kept", "p", 60, 0) // learnt again and again
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0x0a000000+i)
		n.learn(place{1, netip.AddrFrom4(a)}, "x", "p", 60, 0)
	}
	if len(n.places) != maxPlaces {
		t.Errorf("%d places, want %d", len(n.places), maxPlaces)
	}
	if n.Of(1, here.addr, "p", 0) != "kept" {
		t.Error("what was learnt last was forgotten first")
	}
	if n.Of(1, netip.MustParseAddr("10.0.0.0"), "p", 0) != "" {
		t.Error("what was learnt first was kept")
	}
}
