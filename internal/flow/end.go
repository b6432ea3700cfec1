// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/binary"
	"net/netip"

	"github.com/skep-io/skep/internal/abi"
)

// End is one end of a connection: an address, IPv4 as ::ffff:a.b.c.d, and a port.
// It has no pointers, so that a large table of them costs the garbage collector nothing.
type End struct {
	Address [16]byte
	Port    uint16
}

// EndOf is the end that an address and port name.
func EndOf(a netip.AddrPort) End { return End{Address: a.Addr().As16(), Port: a.Port()} }

// EndAt is the end at an address as it lies in the kernel's memory, and a port.
func EndAt(address *[4]uint32, port uint16) End { return End{words(address), port} }

// Addr is the address as it is written: IPv4 where it is one.
func (e *End) Addr() netip.Addr { return netip.AddrFrom16(e.Address).Unmap() }

// network is the address as it stands in a packet.
func (e *End) network() []byte {
	if e.is4() {
		return e.Address[12:]
	}
	return e.Address[:]
}

func (e *End) is4() bool { return netip.AddrFrom16(e.Address).Is4In6() }

// pair is the two ends as one of the sockets sees them.
type pair struct{ local, remote End }

func (p pair) reverse() pair { return pair{p.remote, p.local} }

func pairOf(e *abi.TcpEnds) pair {
	return pair{
		local:  End{words(&e.Local), e.LocalPort},
		remote: End{words(&e.Remote), e.RemotePort},
	}
}

// words turns four words as they lie in the kernel's memory back into bytes.
func words(w *[4]uint32) (b [16]byte) {
	for i, word := range w {
		binary.NativeEndian.PutUint32(b[4*i:], word)
	}
	return b
}
