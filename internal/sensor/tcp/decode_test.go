// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
)

// encode is a record as the kernel side writes it.
func encode(kind abi.EventType, change func(*Event)) []byte {
	size := openBytes
	if kind == abi.EventClose {
		size = closeBytes
	}
	var e Event
	e.Header = abi.EventHeader{Type: uint16(kind), Version: 1, Length: uint32(size), BootNS: 5}
	e.Socket.ID, e.Socket.Source = 77, uint8(abi.TcpSourceConnect)
	if change != nil {
		change(&e)
	}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&e)), closeBytes)[:size])
}

func TestDecode(t *testing.T) {
	open, end := encode(abi.EventConnect, nil), encode(abi.EventClose, func(e *Event) { e.Traffic.BytesSent = 9 })
	for _, test := range []struct {
		name string
		raw  []byte
		want string // in the error; "" for none
	}{
		{"open", open, ""},
		{"close", end, ""},
		{"empty", nil, "0 bytes of"},
		{"cut short", open[:len(open)-1], "bytes of"},
		{"close without counts", append(encode(abi.EventConnect, nil)[:0:0], end[:openBytes]...), "bytes of"},
		{"another sensor's", encode(abi.EventFork, nil), "type 1"},
		{"no type", make([]byte, closeBytes), "type 0"},
		{"length", encode(abi.EventListen, func(e *Event) { e.Header.Length = 9000 }), "says 9000"},
		{"source", encode(abi.EventAccept, func(e *Event) { e.Socket.Source = 200 }), "owner source 200"},
		{"reason", encode(abi.EventClose, func(e *Event) { e.Reason = 200 }), "close reason 200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := Decode(test.raw)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			case err == nil && e.Socket.ID != 77:
				t.Errorf("decoded %+v", e)
			}
		})
	}
	// What lies behind an open record is not its.
	if e, err := Decode(append(open, bytes.Repeat([]byte{0xff}, 100)...)); err != nil || e.Traffic.BytesSent != 0 || e.Reason != 0 {
		t.Errorf("open record in a longer buffer: %v, %+v", err, e)
	}
}

func TestDecodeScan(t *testing.T) {
	raw := append(encode(abi.EventListen, nil), encode(abi.EventEstablished, nil)...)
	n := 0
	if err := DecodeScan(raw, func(Event) { n++ }); err != nil || n != 2 {
		t.Errorf("%d sockets, error %v; want 2", n, err)
	}
	if err := DecodeScan(raw[:len(raw)-1], func(Event) {}); err == nil {
		t.Error("a scan that was cut short has no error")
	}
}

func FuzzDecode(f *testing.F) {
	for _, kind := range []abi.EventType{abi.EventConnect, abi.EventAccept, abi.EventListen, abi.EventEstablished, abi.EventUnlisten, abi.EventClose, abi.EventExec} {
		f.Add(encode(kind, nil))
	}
	f.Add(append(encode(abi.EventListen, nil), encode(abi.EventClose, nil)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := Decode(raw); err == nil {
			if int(e.Header.Length) > len(raw) || abi.TcpSource(e.Socket.Source) >= abi.TcpSources || abi.TcpReason(e.Reason) >= abi.TcpReasons {
				t.Errorf("accepted %+v", e)
			}
		}
		DecodeScan(raw, func(Event) {})
	})
}

func TestDecodeCounts(t *testing.T) {
	counts := []Count{{ID: 1, Traffic: abi.TcpTraffic{BytesSent: 1 << 40, Retransmits: 3}}, {ID: 2}}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&counts[0])), 2*CountBytes)
	var got []Count
	if err := DecodeCounts(raw, func(c Count) { got = append(got, c) }); err != nil || !slices.Equal(got, counts) {
		t.Errorf("decoded %+v, error %v; want %+v", got, err, counts)
	}
	if err := DecodeCounts(raw[:len(raw)-1], func(Count) {}); err == nil || !strings.Contains(err.Error(), "47 bytes of 48") {
		t.Errorf("counts that were cut short: %v", err)
	}
}

func FuzzDecodeCounts(f *testing.F) {
	f.Add(make([]byte, 2*CountBytes))
	f.Add(make([]byte, CountBytes+1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		err := DecodeCounts(raw, func(Count) { n++ })
		if n != len(raw)/CountBytes || (err != nil) != (len(raw)%CountBytes != 0) {
			t.Errorf("%d counts of %d bytes, error %v", n, len(raw), err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := encode(abi.EventClose, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
