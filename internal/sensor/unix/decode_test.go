// SPDX-License-Identifier: Apache-2.0

package unix

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/prototext"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// encode is a record as the kernel side writes it.
func encode(name string, change func(*abi.UnixRecord)) []byte {
	r := abi.UnixRecord{Type: 1, Flags: uint8(abi.UnixResult), Length: uint8(len(name))}
	r.Header = abi.EventHeader{Type: uint16(abi.EventUnix), Version: 1, Length: uint32(recordBytes), BootNS: 5}
	copy(r.Name[:], name)
	if change != nil {
		change(&r)
	}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&r)), recordBytes))
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name string
		raw  []byte
		want string // in the error; "" for none
	}{
		{"whole", encode("/run/x", nil), ""},
		{"empty", nil, "0 bytes of"},
		{"cut short", encode("/run/x", nil)[:recordBytes-1], "bytes of"},
		{"another length", encode("/run/x", func(r *abi.UnixRecord) { r.Header.Length-- }), "say that they are"},
		{"another sensor's", encode("/run/x", func(r *abi.UnixRecord) { r.Header.Type = uint16(abi.EventExec) }), "type 2"},
		{"more than there is", encode("/run/x", func(r *abi.UnixRecord) { r.Length = 109 }), "name of 109 bytes"},
	} {
		r, err := Decode(tt.raw)
		switch {
		case tt.want == "" && (err != nil || string(r.Name[:r.Length]) != "/run/x"):
			t.Errorf("%s: %v, %+v", tt.name, err, r)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func named(id abi.ExecID) *skepv1.Process {
	return &skepv1.Process{ProcessId: "p", ExecId: "e", Pid: id.Tgid, Comm: "server", Container: &skepv1.Container{Id: "c"}}
}

func TestBody(t *testing.T) {
	peer := func(flags abi.UnixFlag, start uint64) func(*abi.UnixRecord) {
		return func(r *abi.UnixRecord) {
			r.Peer, r.PeerUID, r.Netns, r.Flags = abi.ExecID{Tgid: 7, StartNS: start}, 1000, 99, uint8(flags)
		}
	}
	failed := func(r *abi.UnixRecord) { r.Error = 111 }
	const known = `peer {process_id: "p" exec_id: "e" pid: 7 comm: "server" container_id: "c"} peer_uid: 1000`
	for _, tt := range []struct {
		raw  []byte
		want string
	}{
		{encode("/run/x\x00", peer(abi.UnixListener, 5)), `path: "/run/x" type: "stream" ` + known},
		{encode("/no", failed), `path: "/no" type: "stream" error: 111 error_name: "ECONNREFUSED"`},
		{encode("\x00a\x00b\n\xff", peer(0, 5)), `path: "@a\000b\n�" abstract: true type: "stream" netns: 99 ` + known},
		{encode("\x00", peer(0, 5)), `path: "@" abstract: true type: "stream" netns: 99 ` + known},
		{encode(strings.Repeat("n", 108), failed), `path: "` + strings.Repeat("n", 108) + `" type: "stream" error: 111 error_name: "ECONNREFUSED"`},
		{encode("x", peer(abi.UnixPeerGone, 0)), `path: "x" type: "stream" peer {pid: 7} peer_uid: 1000 peer_gone: true`},
		{encode("", peer(abi.UnixNameUnread, 5)), `path_unknown: true type: "stream" ` + known},
		{encode("s", func(r *abi.UnixRecord) { r.Type = 5 }), `path: "s" type: "seqpacket"`},
	} {
		r, err := Decode(tt.raw)
		if err != nil {
			t.Fatal(err)
		}
		want := &skepv1.UnixConnect{}
		if err := prototext.Unmarshal([]byte(tt.want), want); err != nil {
			t.Fatal(err)
		}
		if got := Body(&r, named); got.String() != want.String() {
			t.Errorf("body %v, want %v", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode("/run/x\x00", nil))
	f.Add(encode("\x00\x1b[31m\n\xff", func(r *abi.UnixRecord) { r.Peer.Tgid = 1 }))
	f.Add(encode("", func(r *abi.UnixRecord) { r.Length = 255 }))
	f.Add(encode("x", func(r *abi.UnixRecord) { r.Error, r.Type = 60000, 77 })[:50])
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Decode(raw)
		if err != nil {
			return
		}
		body := Body(&r, named)
		if !utf8.ValidString(body.Path) || len(body.Path) > 1+3*nameBytes {
			t.Errorf("path %q of %x", body.Path, raw)
		}
		if body.Abstract != (r.Length > 0 && r.Name[0] == 0) {
			t.Errorf("abstract %v of %x", body.Abstract, raw)
		}
	})
}
