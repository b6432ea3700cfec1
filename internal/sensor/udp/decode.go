// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"fmt"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

const closedBytes = int(unsafe.Sizeof(abi.UdpClosed{}))

// Decode copies a record out of a ring: a socket that has flows was closed.
func Decode(raw []byte) (abi.UdpClosed, error) {
	var r abi.UdpClosed
	if len(raw) < closedBytes {
		return r, fmt.Errorf("decode udp record: %d bytes of %d", len(raw), closedBytes)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&r)), closedBytes), raw)
	switch {
	case abi.EventType(r.Header.Type) != abi.EventUdp:
		return r, fmt.Errorf("decode udp record: type %d is not this sensor's", r.Header.Type)
	case int(r.Header.Length) != closedBytes:
		return r, fmt.Errorf("decode udp record: %d bytes say that they are %d", closedBytes, r.Header.Length)
	}
	return r, nil
}
