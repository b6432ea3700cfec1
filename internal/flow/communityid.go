// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
)

// Protocol numbers.
const protocolTCP = 6

// CommunityID is version 1 of the Community ID, which names a flow by its 5-tuple
// and not by who saw it: "1:" and the base64 of the SHA-1 over seed, addresses,
// protocol, a zero byte and ports, the lower endpoint first. IPv4 addresses, mapped
// or not, count as four bytes.
// Source: Corelight's community-id-spec, version 1.
func CommunityID(a, b End, protocol uint8, seed uint16) string {
	if b.less(a) {
		a, b = b, a
	}
	var buffer [2 + 2*16 + 2 + 2*2]byte
	data := binary.BigEndian.AppendUint16(buffer[:0], seed)
	data = append(data, a.network()...)
	data = append(data, b.network()...)
	data = append(data, protocol, 0)
	data = binary.BigEndian.AppendUint16(data, a.Port)
	data = binary.BigEndian.AppendUint16(data, b.Port)
	sum := sha1.Sum(data)
	var id [2 + 28]byte
	copy(id[:], "1:")
	base64.StdEncoding.Encode(id[2:], sum[:])
	return string(id[:])
}

// less orders endpoints by address, then port.
func (e *End) less(other End) bool {
	if c := bytes.Compare(e.network(), other.network()); c != 0 {
		return c < 0
	}
	return e.Port < other.Port
}
