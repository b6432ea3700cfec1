// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/abi"
)

// encode is a record as the kernel side writes it.
func encode(call abi.HostCall, result int64, change func(*abi.HostHead), texts ...string) []byte {
	h := abi.HostHead{Call: uint16(call), Flags: uint16(abi.HostHasResult), Result: result}
	h.Header = abi.EventHeader{Type: uint16(abi.EventHost), Version: 1, BootNS: 5}
	for i, text := range texts {
		h.Length[i] = uint16(len(text))
	}
	if change != nil {
		change(&h)
	}
	return append(bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&h)), headBytes)), strings.Join(texts, "")...)
}

func with(arguments ...uint64) func(*abi.HostHead) {
	return func(h *abi.HostHead) { copy(h.Arguments[:], arguments) }
}

func TestBody(t *testing.T) {
	root, user := abi.HostIds{}, abi.HostIds{Real: 1, Effective: 2, Saved: 3, Filesystem: 4}
	for what, c := range map[string]struct {
		raw  []byte
		want *skepv1.HostCall
	}{
		"attach": {encode(abi.HostPtrace, -1, with(16, 4711)),
			&skepv1.HostCall{Call: "ptrace", Request: "PTRACE_ATTACH", TargetPid: 4711, Error: 1, ErrorName: "EPERM"}},
		"seize from a pid namespace": {encode(abi.HostPtrace, 0, func(h *abi.HostHead) {
			with(0x4206, 7)(h)
			h.Flags |= uint16(abi.HostNested)
		}), &skepv1.HostCall{Call: "ptrace", Request: "PTRACE_SEIZE", TargetPid: 7, TargetPidNested: true}},
		"another request": {encode(abi.HostPtrace, 0, with(99)), &skepv1.HostCall{Call: "ptrace", Request: "PTRACE(99)"}},
		"mount": {encode(abi.HostMount, -16, with(0, 0, 0, unix.MS_BIND|unix.MS_REC|1<<31), "/dev/\xff\n\x00", "/srv\x00", "ext4\x00"),
			&skepv1.HostCall{Call: "mount", Source: "/dev/\uFFFD\n", Path: "/srv", Fstype: "ext4", Flags: "MS_BIND|MS_REC|0x80000000", Error: 16, ErrorName: "EBUSY"}},
		"mount without source": {encode(abi.HostMount, 0, func(h *abi.HostHead) { h.Flags |= uint16(abi.HostCut) }, "", "/srv\x00"),
			&skepv1.HostCall{Call: "mount", Path: "/srv", TextCut: true}},
		"umount":     {encode(abi.HostUmount, 0, with(0, 0, 0, unix.MNT_DETACH), "", "/srv\x00"), &skepv1.HostCall{Call: "umount", Path: "/srv", Flags: "MNT_DETACH"}},
		"move_mount": {encode(abi.HostMoveMount, 0, with(0, 0, 0, 4), "\x00", "/m\x00"), &skepv1.HostCall{Call: "move_mount", Path: "/m", Flags: "MOVE_MOUNT_F_EMPTY_PATH"}},
		"pivot_root": {encode(abi.HostPivotRoot, 0, nil, ".\x00", "new\x00"), &skepv1.HostCall{Call: "pivot_root", Source: ".", Path: "new"}},
		"setns": {encode(abi.HostSetns, 0, with(unix.CLONE_NEWNET, 4026531833)),
			&skepv1.HostCall{Call: "setns", Namespaces: []string{"net"}, NamespaceInode: 4026531833}},
		"unshare": {encode(abi.HostUnshare, 0, with(unix.CLONE_NEWNS|unix.CLONE_NEWUSER|unix.CLONE_FS)),
			&skepv1.HostCall{Call: "unshare", Namespaces: []string{"mnt", "user"}}},
		"module":    {encode(abi.HostModuleLoad, 0, nil, "dummy\x00\x00garbage"), &skepv1.HostCall{Call: "module_load", Name: "dummy"}},
		"no module": {encode(abi.HostModuleUnload, -2, nil, "none\x00"), &skepv1.HostCall{Call: "module_unload", Name: "none", Error: 2, ErrorName: "ENOENT"}},
		"bpf":       {encode(abi.HostBpfLoad, 7, with(26), "trace\x00"), &skepv1.HostCall{Call: "bpf_load", ProgramType: "tracing", Name: "trace"}},
		"new bpf":   {encode(abi.HostBpfLoad, 7, with(200)), &skepv1.HostCall{Call: "bpf_load", ProgramType: "type(200)"}},
		"setresuid": {encode(abi.HostSetresuid, 0, func(h *abi.HostHead) {
			with(1, uint64(^uint32(0)), 3)(h)
			h.Before, h.After = root, user
			h.Flags |= uint16(abi.HostHasBefore | abi.HostRequested)
		}), &skepv1.HostCall{Call: "setresuid", Requested: "1::3", IdsBefore: "0:0:0:0", IdsAfter: "1:2:3:4"}},
		"setfsgid": {encode(abi.HostSetfsgid, -2, func(h *abi.HostHead) { // the id that was, no error
			with(5)(h)
			h.After = user
			h.Flags |= uint16(abi.HostRequested)
		}), &skepv1.HostCall{Call: "setfsgid", Requested: "5", IdsAfter: "1:2:3:4"}},
		"setuid without arguments": {encode(abi.HostSetuid, 0, nil), &skepv1.HostCall{Call: "setuid", IdsAfter: "0:0:0:0"}},
		"kill":                     {encode(abi.HostKill, 0, with(9, 0)), &skepv1.HostCall{Call: "kill", Signal: 9, SignalName: "SIGKILL", Delivery: "delivered"}},
		"real-time signal":         {encode(abi.HostKill, 0, with(40, 2)), &skepv1.HostCall{Call: "kill", Signal: 40, SignalName: "SIG40", Delivery: "pending"}},
		"refused signal":           {encode(abi.HostKill, -1, with(15)), &skepv1.HostCall{Call: "kill", Signal: 15, SignalName: "SIGTERM", Delivery: "refused", Error: 1, ErrorName: "EPERM"}},
		"memfd":                    {encode(abi.HostMemfdCreate, 3, with(3), "x\x1b[31m\x00"), &skepv1.HostCall{Call: "memfd_create", Name: "x\x1b[31m", Flags: "MFD_CLOEXEC|MFD_ALLOW_SEALING"}},
		"capability":               {encode(abi.HostCapability, 0, with(12, 77)), &skepv1.HostCall{Call: "capability", Capability: "CAP_NET_ADMIN", UserNamespace: 77}},
		"new capability":           {encode(abi.HostCapability, 0, with(63, 77)), &skepv1.HostCall{Call: "capability", Capability: "CAP_63", UserNamespace: 77}},
	} {
		e, err := Decode(c.raw)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if got := e.Body(); !proto.Equal(got, c.want) {
			t.Errorf("%s is\n%v, want\n%v", what, got, c.want)
		}
	}
}

// TestNames: every call and every type of program has a name.
func TestNames(t *testing.T) {
	for call := abi.HostNone + 1; call < abi.HostCalls; call++ {
		if callNames[call] == "" {
			t.Errorf("call %d has no name", call)
		}
	}
	if got := programTypes[unix.BPF_PROG_TYPE_NETFILTER]; got != "netfilter" || len(programTypes) != unix.BPF_PROG_TYPE_NETFILTER+1 {
		t.Errorf("the last of %d program types is %q", len(programTypes), got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(abi.HostMount, 0, nil, "a\x00", "b\x00", "c\x00")
	for what, raw := range map[string][]byte{
		"nothing":      nil,
		"a short head": good[:headBytes-1],
		"a short text": good[:len(good)-1],
		"another type": append([]byte{1}, good[1:]...),
		"no call":      encode(abi.HostNone, 0, nil),
		"a new call":   encode(abi.HostCalls, 0, nil),
	} {
		if e, err := Decode(raw); err == nil {
			t.Errorf("%s is %+v", what, e)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(abi.HostMount, -1, with(0, 0, 0, 1), "/dev/sda\x00", "/srv\x00", "ext4\x00"))
	f.Add(encode(abi.HostMemfdCreate, 3, nil, "\xff\x1b\n\x00"))
	f.Add(encode(abi.HostKill, 0, with(^uint64(0), ^uint64(0))))
	f.Add(encode(abi.HostSetresgid, -4095, with(^uint64(0), 1, 2)))
	f.Add(encode(abi.HostBpfLoad, -4096, with(^uint64(0)), "x\x00")[:headBytes])
	f.Add(encode(abi.HostCapability, 0, with(^uint64(0))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Decode(raw)
		if err != nil {
			return
		}
		b := e.Body()
		if b.Call == "" {
			t.Error("a call has no name")
		}
		for _, text := range []string{b.Source, b.Path, b.Fstype, b.Flags, b.Name, b.ProgramType, b.SignalName, b.Capability, b.Requested, b.IdsBefore, b.Request} {
			if !utf8.ValidString(text) || len(text) > 3*len(raw)+500 {
				t.Errorf("%q is no text", text)
			}
		}
		if _, err := proto.Marshal(b); err != nil {
			t.Error(err)
		}
	})
}
