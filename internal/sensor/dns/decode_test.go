// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// encode is a record as the kernel side writes it, with room for 128 bytes.
func encode(payload string, change func(*abi.DNSRecord)) []byte {
	h := abi.DNSRecord{Socket: 77, Length: uint32(len(payload)), Captured: uint16(len(payload))}
	h.Header = abi.EventHeader{Type: uint16(abi.EventDNS), Version: 1, Length: uint32(headBytes + 128), BootNS: 5}
	if change != nil {
		change(&h)
	}
	raw := append(bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&h)), headBytes)), payload...)
	return append(raw, bytes.Repeat([]byte{0xee}, 128-len(payload))...)
}

func TestDecode(t *testing.T) {
	full := encode("payload", nil)
	for _, tt := range []struct {
		name string
		raw  []byte
		want string // in the error; "" for none
	}{
		{"datagram", full, ""},
		{"more than was captured", encode("payload", func(h *abi.DNSRecord) { h.Length = 9000 }), ""},
		{"empty", nil, "0 bytes of"},
		{"cut short", full[:headBytes-1], "bytes of"},
		{"another length", full[:len(full)-1], "say that they are"},
		{"another sensor's", encode("payload", func(h *abi.DNSRecord) { h.Header.Type = uint16(abi.EventExec) }), "type 2"},
		{"more than there is", encode("payload", func(h *abi.DNSRecord) { h.Length, h.Captured = 9000, 129 }), "129 bytes captured"},
		{"more than was sent", encode("payload", func(h *abi.DNSRecord) { h.Length = 6 }), "7 bytes captured of 6"},
	} {
		h, payload, err := Decode(tt.raw)
		switch {
		case tt.want == "" && (err != nil || h.Socket != 77 || string(payload) != "payload"):
			t.Errorf("%s: %v, %+v %q", tt.name, err, h, payload)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode("payload", nil))
	f.Add(encode("", func(h *abi.DNSRecord) { h.Captured = 65535 }))
	f.Add(encode("x", nil)[:50])
	f.Fuzz(func(t *testing.T, raw []byte) {
		if h, payload, err := Decode(raw); err == nil && (len(payload) != int(h.Captured) || headBytes+len(payload) > len(raw)) {
			t.Errorf("accepted %+v with %d bytes", h, len(payload))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := encode("payload", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
