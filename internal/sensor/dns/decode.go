// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

const headBytes = int(unsafe.Sizeof(abi.DNSRecord{}))

// Decode copies the head of a record out of a ring; the payload stays where it is and
// is valid as long as raw. It is what a stranger has sent, of which nothing is checked
// but its length.
func Decode(raw []byte) (head abi.DNSRecord, payload []byte, err error) {
	if len(raw) < headBytes {
		return head, nil, fmt.Errorf("decode dns record: %d bytes of %d", len(raw), headBytes)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&head)), headBytes), raw)
	room := len(raw) - headBytes
	switch {
	case abi.EventType(head.Header.Type) != abi.EventDNS:
		return head, nil, fmt.Errorf("decode dns record: type %d is not this sensor's", head.Header.Type)
	case int(head.Header.Length) != len(raw):
		return head, nil, fmt.Errorf("decode dns record: %d bytes say that they are %d", len(raw), head.Header.Length)
	case int(head.Captured) > room || uint32(head.Captured) > head.Length:
		return head, nil, fmt.Errorf("decode dns record: %d bytes captured of %d, with room for %d", head.Captured, head.Length, room)
	}
	return head, raw[headBytes:][:head.Captured:head.Captured], nil
}
