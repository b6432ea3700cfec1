// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"fmt"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// Event is what the kernel side says of one socket. The counts after Backlog are
// those of a close.
type Event = abi.TcpRecord

// openBytes is the length of the records that have no counts.
const openBytes = unsafe.Offsetof(Event{}.BytesSent)

// Decode copies a record out of a ring without allocating. What it returns is
// whole and its enums are known ones, whatever the bytes were.
func Decode(raw []byte) (Event, error) {
	var e Event
	if uintptr(len(raw)) < openBytes {
		return Event{}, fmt.Errorf("decode tcp record: %d bytes of %d", len(raw), openBytes)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e)), raw)
	if err := check(&e, uintptr(len(raw))); err != nil {
		return Event{}, err
	}
	return e, nil
}

func check(e *Event, length uintptr) error {
	want := openBytes
	switch abi.EventType(e.Header.Type) {
	case abi.EventConnect, abi.EventAccept, abi.EventListen, abi.EventEstablished:
	case abi.EventClose:
		want = unsafe.Sizeof(*e)
	default:
		return fmt.Errorf("decode tcp record: type %d is not this sensor's", e.Header.Type)
	}
	switch {
	case uintptr(e.Header.Length) != want || length < want:
		return fmt.Errorf("decode tcp record: type %d says %d bytes, has %d, needs %d", e.Header.Type, e.Header.Length, length, want)
	case abi.TcpSource(e.Socket.Source) >= abi.TcpSources:
		return fmt.Errorf("decode tcp record: unknown owner source %d", e.Socket.Source)
	case e.Header.Type == uint16(abi.EventClose) && abi.TcpReason(e.Reason) >= abi.TcpReasons:
		return fmt.Errorf("decode tcp record: unknown close reason %d", e.Reason)
	}
	return clearTail(e, want)
}

// clearTail forgets what a longer buffer held behind an open record.
func clearTail(e *Event, want uintptr) error {
	if want == openBytes {
		clear(unsafe.Slice((*byte)(unsafe.Pointer(e)), unsafe.Sizeof(*e))[openBytes:])
	}
	return nil
}

// DecodeScan calls fn with each socket that the iterator wrote, one per holder: a
// socket that several processes hold comes several times, with one ID.
func DecodeScan(raw []byte, fn func(Event)) error {
	for len(raw) > 0 {
		if uintptr(len(raw)) < openBytes {
			return fmt.Errorf("decode scan: %d bytes at its end", len(raw))
		}
		e, err := Decode(raw[:openBytes])
		if err != nil {
			return fmt.Errorf("decode scan: %w", err)
		}
		fn(e)
		raw = raw[openBytes:]
	}
	return nil
}
