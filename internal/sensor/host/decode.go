// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"strings"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

const headBytes = int(unsafe.Sizeof(abi.HostHead{}))

// Event is a decoded EVENT_HOST.
type Event struct {
	abi.HostHead
	// Texts are what the call has of them: see abi.HostHead.
	Texts [len(abi.HostHead{}.Length)]string
}

// Has tells of a flag of the record.
func (e *Event) Has(flag abi.HostFlag) bool { return abi.HostFlag(e.Flags)&flag != 0 }

// Decode decodes a record of a ring. Texts are what processes chose: nothing in them is
// trusted. Bytes that are not UTF-8 are shown as U+FFFD.
func Decode(raw []byte) (*Event, error) {
	if len(raw) < headBytes {
		return nil, fmt.Errorf("decode host record: %d bytes of %d", len(raw), headBytes)
	}
	e := &Event{}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&e.HostHead)), headBytes), raw)
	if abi.EventType(e.Header.Type) != abi.EventHost {
		return nil, fmt.Errorf("decode host record: type %d is not this sensor's", e.Header.Type)
	}
	if call := abi.HostCall(e.Call); call == abi.HostNone || call >= abi.HostCalls {
		return nil, fmt.Errorf("decode host record: there is no call %d", e.Call)
	}
	text := raw[headBytes:]
	for i, n := range e.Length {
		if int(n) > len(text) {
			return nil, fmt.Errorf("decode host record: text %d has %d bytes of %d", i, n, len(text))
		}
		e.Texts[i], text = cString(text[:n]), text[n:]
	}
	return e, nil
}

// cString is the text up to the first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
