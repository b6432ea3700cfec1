// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// encode is a record as the kernel side writes it.
func encode(change func(*abi.UdpClosed)) []byte {
	r := abi.UdpClosed{Socket: 77}
	r.Header = abi.EventHeader{Type: uint16(abi.EventUdp), Version: 1, Length: uint32(closedBytes), BootNS: 5}
	if change != nil {
		change(&r)
	}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&r)), closedBytes))
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name string
		raw  []byte
		want string // in the error; "" for none
	}{
		{"whole", encode(nil), ""},
		{"with what rings pad", append(encode(nil), 1, 2, 3), ""},
		{"empty", nil, "0 bytes of"},
		{"cut short", encode(nil)[:closedBytes-1], "bytes of"},
		{"another length", encode(func(r *abi.UdpClosed) { r.Header.Length++ }), "say that they are"},
		{"another sensor's", encode(func(r *abi.UdpClosed) { r.Header.Type = uint16(abi.EventExec) }), "type 2"},
	} {
		r, err := Decode(tt.raw)
		switch {
		case tt.want == "" && (err != nil || r.Socket != 77 || r.Header.BootNS != 5):
			t.Errorf("%s: %v, %+v", tt.name, err, r)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(nil))
	f.Add(encode(func(r *abi.UdpClosed) { r.Header.Length = 1 << 31 }))
	f.Add(encode(nil)[:9])
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Decode(raw)
		if err == nil && (int(r.Header.Length) > len(raw) || !bytes.Equal(encode(func(to *abi.UdpClosed) { *to = r }), raw[:closedBytes])) {
			t.Errorf("accepted %+v of %x", r, raw)
		}
	})
}
