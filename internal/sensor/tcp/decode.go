// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// Event is what the kernel side says of one socket. Reason and Traffic are set for a
// close only.
type Event = abi.TcpRecord

// Count is what one open socket has carried so far.
type Count = abi.TcpCount

// An open record has no traffic.
const (
	openBytes  = int(unsafe.Offsetof(Event{}.Traffic))
	closeBytes = int(unsafe.Sizeof(Event{}))
)

// Decode copies a record out of a ring without allocating. Whatever the bytes
// were, its type, owner source and close reason are known ones.
func Decode(raw []byte) (Event, error) {
	size, err := sizeOf(raw)
	if err != nil {
		return Event{}, err
	}
	var e Event
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&e)), closeBytes), raw[:size])
	switch {
	case int(e.Header.Length) != size:
		return Event{}, fmt.Errorf("decode tcp record: type %d of %d bytes says %d", e.Header.Type, size, e.Header.Length)
	case abi.TcpSource(e.Socket.Source) >= abi.TcpSources:
		return Event{}, fmt.Errorf("decode tcp record: unknown owner source %d", e.Socket.Source)
	case abi.TcpReason(e.Reason) >= abi.TcpReasons:
		return Event{}, fmt.Errorf("decode tcp record: unknown close reason %d", e.Reason)
	}
	return e, nil
}

// sizeOf is the length that a record of this type has, all of which is there.
func sizeOf(raw []byte) (int, error) {
	if len(raw) < openBytes {
		return 0, fmt.Errorf("decode tcp record: %d bytes of %d", len(raw), openBytes)
	}
	size := openBytes
	switch kind := binary.NativeEndian.Uint16(raw); abi.EventType(kind) {
	case abi.EventConnect, abi.EventAccept, abi.EventListen, abi.EventEstablished, abi.EventUnlisten:
	case abi.EventClose:
		size = closeBytes
	default:
		return 0, fmt.Errorf("decode tcp record: type %d is not this sensor's", kind)
	}
	if len(raw) < size {
		return 0, fmt.Errorf("decode tcp record: %d bytes of %d", len(raw), size)
	}
	return size, nil
}

// DecodeScan calls fn with each socket that [ExistingProgram] wrote, once per
// holder: a socket that several processes hold comes several times, with one ID.
func DecodeScan(raw []byte, fn func(Event)) error {
	for len(raw) > 0 {
		e, err := Decode(raw)
		if err != nil {
			return fmt.Errorf("decode scan: %w", err)
		}
		fn(e)
		raw = raw[e.Header.Length:]
	}
	return nil
}

// CountBytes is the size of a Count as an iterator program writes it.
const CountBytes = int(unsafe.Sizeof(Count{}))

// DecodeCounts calls fn with each count that an iterator program wrote. While it runs,
// sockets come and go: one may come twice, and one that lives may be left out.
func DecodeCounts(raw []byte, fn func(Count)) error {
	for len(raw) > 0 {
		if len(raw) < CountBytes {
			return fmt.Errorf("decode counts: %d bytes of %d", len(raw), CountBytes)
		}
		var c Count
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&c)), CountBytes), raw)
		fn(c)
		raw = raw[CountBytes:]
	}
	return nil
}
