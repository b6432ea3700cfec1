// SPDX-License-Identifier: Apache-2.0

package unix

import (
	"fmt"
	"strings"
	"unsafe"

	xunix "golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

const recordBytes = int(unsafe.Sizeof(abi.UnixRecord{}))

// nameBytes is the size of sun_path, see unix(7).
const nameBytes = 108

// Decode copies a record out of a ring. Its name is what a stranger has chosen: nothing is
// checked of it but its length.
func Decode(raw []byte) (abi.UnixRecord, error) {
	var r abi.UnixRecord
	if len(raw) < recordBytes {
		return r, fmt.Errorf("decode unix record: %d bytes of %d", len(raw), recordBytes)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&r)), recordBytes), raw)
	switch {
	case abi.EventType(r.Header.Type) != abi.EventUnix:
		return r, fmt.Errorf("decode unix record: type %d is not this sensor's", r.Header.Type)
	case int(r.Header.Length) != recordBytes:
		return r, fmt.Errorf("decode unix record: %d bytes say that they are %d", recordBytes, r.Header.Length)
	case int(r.Length) > nameBytes:
		return r, fmt.Errorf("decode unix record: a name of %d bytes, where %d are the most", r.Length, nameBytes)
	}
	return r, nil
}

// Body is the public body of a record; peer names the process of an exec id.
func Body(r *abi.UnixRecord, peer func(abi.ExecID) *skepv1.Process) *skepv1.UnixConnect {
	body := &skepv1.UnixConnect{Type: typeName(r.Type)}
	body.Path, body.Abstract = name(r.Name[:r.Length])
	body.PathUnknown = is(r, abi.UnixNameUnread)
	if r.Error != 0 {
		body.Error, body.ErrorName = uint32(r.Error), xunix.ErrnoName(xunix.Errno(r.Error))
		return body
	}
	if body.Abstract {
		body.Netns = r.Netns
	}
	if r.Peer.Tgid != 0 {
		body.Peer, body.PeerUid, body.PeerGone = peerOf(r, peer), r.PeerUID, is(r, abi.UnixPeerGone)
	}
	return body
}

func is(r *abi.UnixRecord, flag abi.UnixFlag) bool { return r.Flags&uint8(flag) != 0 }

func peerOf(r *abi.UnixRecord, named func(abi.ExecID) *skepv1.Process) *skepv1.Peer {
	if r.Peer.StartNS == 0 { // of a process that has ended only the number is known
		return &skepv1.Peer{Pid: r.Peer.Tgid}
	}
	p := named(r.Peer)
	return &skepv1.Peer{
		ProcessId: p.ProcessId, ExecId: p.ExecId, Pid: p.Pid, Comm: p.Comm, Exe: p.Exe, ContainerId: p.GetContainer().GetId(),
	}
}

// name is that of a socket as ss(8) shows it: an abstract one with @ for its first byte,
// which is 0. What is no UTF-8 is shown as U+FFFD.
func name(raw []byte) (shown string, abstract bool) {
	if len(raw) > 0 && raw[0] == 0 {
		return "@" + strings.ToValidUTF8(string(raw[1:]), "\uFFFD"), true
	}
	path, _, _ := strings.Cut(string(raw), "\x00")
	return strings.ToValidUTF8(path, "\uFFFD"), false
}

func typeName(number uint16) string {
	switch number {
	case xunix.SOCK_STREAM:
		return "stream"
	case xunix.SOCK_SEQPACKET:
		return "seqpacket"
	}
	return fmt.Sprintf("type %d", number)
}
