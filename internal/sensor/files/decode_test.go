// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/walk"
)

// encode is a record as the kernel side writes it. Parts are walk and name of the first
// path, then of the second.
func encode(op abi.FileOperation, flags abi.FileFlag, change func(*abi.FileHead), parts ...string) []byte {
	h := abi.FileHead{Operation: uint16(op), Flags: uint16(flags)}
	h.Header = abi.EventHeader{Type: uint16(abi.EventFile), Version: 1, BootNS: 5}
	text := strings.Join(parts, "")
	for i, p := range parts {
		if i%2 == 0 {
			h.WalkLength[i/2], h.WalkFlags[i/2] = uint16(len(p)), walk.Complete
		} else {
			h.NameLength[i/2] = uint16(len(p))
		}
	}
	if change != nil {
		change(&h)
	}
	return append(bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&h)), headBytes)), text...)
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		what  string
		raw   []byte
		paths [2]string
		cut   bool
	}{
		{"a walk", encode(abi.FileOpen, 0, nil, "f\x00etc\x00"), [2]string{"/etc/f"}, false},
		{"two walks", encode(abi.FileRename, 0, nil, "f\x00etc\x00", "", "g\x00etc\x00"), [2]string{"/etc/f", "/etc/g"}, false},
		{"an absolute name", encode(abi.FileUnlink, abi.FileNamed, nil, "", "/etc//x/../f\x00"), [2]string{"/etc/f"}, false},
		{"a relative name", encode(abi.FileUnlink, abi.FileNamed, nil, "home\x00", "f\x00"), [2]string{"/home/f"}, false},
		{"relative to the root", encode(abi.FileUnlink, abi.FileNamed, nil, "", "etc/f\x00"), [2]string{"/etc/f"}, false},
		{"an empty name", encode(abi.FileChown, abi.FileNamed, nil, "f\x00etc\x00", "\x00"), [2]string{"/etc/f"}, false},
		{"names out of the root", encode(abi.FileLink, abi.FileNamed, nil, "a\x00", "../../../b\x00", "", "/c\x00"), [2]string{"/b", "/c"}, false},
		{"a deep walk", encode(abi.FileOpen, 0, func(h *abi.FileHead) { h.WalkFlags[0] = walk.Truncated }, "f\x00d\x00"), [2]string{"d/f"}, true},
		{"no text", encode(abi.FileOpen, abi.FileCut, func(h *abi.FileHead) { h.WalkFlags[0] = 0 }), [2]string{}, false},
		{"not UTF-8", encode(abi.FileOpen, 0, nil, "\xff\n\x00etc\x00"), [2]string{"/etc/\uFFFD\n"}, false},
	} {
		e, err := Decode(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if got := [2]string{e.Paths[0].Text, e.Paths[1].Text}; got != c.paths || e.Paths[0].Truncated != c.cut {
			t.Errorf("%s: %q, cut %t; want %q, %t", c.what, got, e.Paths[0].Truncated, c.paths, c.cut)
		}
	}
	e, err := Decode(encode(abi.FileSymlink, 0, nil, "s\x00etc\x00", "", "", "../to\x00"))
	if err != nil || e.Target != "../to" || e.Paths[1].Text != "" || e.Paths[0].Text != "/etc/s" {
		t.Errorf("a symlink: %+v, %v", e, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	full := encode(abi.FileRename, 0, nil, "f\x00etc\x00", "x\x00", "g\x00", "y\x00")
	for what, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":            {nil, "0 bytes of"},
		"cut in the head":  {full[:headBytes-1], "bytes of"},
		"cut in the text":  {full[:len(full)-1], "part 3"},
		"another sensor's": {encode(abi.FileOpen, 0, func(h *abi.FileHead) { h.Header.Type = uint16(abi.EventDNS) }), "type 24"},
		"long lengths":     {encode(abi.FileOpen, 0, func(h *abi.FileHead) { h.NameLength[1] = 65535 }, "f\x00"), "part 3 has 65535"},
	} {
		if _, err := Decode(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", what, err, c.want)
		}
	}
}

// nothing resolves no name, as where a process has ended.
func nothing(uint32, string) (string, bool) { return "", false }

func TestBody(t *testing.T) {
	plan := NewPlan([]string{"/etc", "/srv/data"}, hostOf("/", "/etc", "/srv"))
	unproven := abi.FileUnproven | abi.FileNamed | abi.FileHostRoot
	for _, c := range []struct {
		what    string
		raw     []byte
		resolve Resolver
		want    string // path and its source; "" for no record
	}{
		{"proven", encode(abi.FileUnlink, 0, nil, "f\x00x\x00"), nothing, "/x/f kernel"},
		{"likely, and it is", encode(abi.FileUnlink, unproven, nil, "", "/etc/x/../f\x00"), nothing, "/etc/f argument"},
		{"likely, and it is not", encode(abi.FileUnlink, unproven, nil, "", "/etc/../f\x00"), nothing, ""},
		{"one name below a walk", encode(abi.FileUnlink, unproven, nil, "etc\x00", "f\x00"), nothing, "/etc/f kernel"},
		{"resolved", encode(abi.FileUnlink, unproven, nil, "", "/link/f\x00"), func(pid uint32, name string) (string, bool) {
			return "/etc", pid == 0 && name == "/link/"
		}, "/etc/f proc"},
		{"resolved to elsewhere", encode(abi.FileUnlink, unproven, nil, "", "/etc/link/f\x00"), func(uint32, string) (string, bool) {
			return "/tmp", true
		}, ""},
		{"of another root", encode(abi.FileUnlink, abi.FileUnproven|abi.FileNamed, nil, "", "/x/f\x00"), nothing, "/x/f argument"},
		{"too deep to know", encode(abi.FileUnlink, unproven|abi.FileDeep, nil, "", "/x/f\x00"), nothing, "/x/f argument"},
		{"the path itself", encode(abi.FileRmdir, unproven, nil, "srv\x00", "data\x00"), nothing, "/srv/data kernel"},
		{"a neighbour", encode(abi.FileRmdir, unproven, nil, "srv\x00", "data2\x00"), nothing, ""},
	} {
		e, err := Decode(c.raw)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if b := e.Body(plan, c.resolve); b != nil {
			got = b.Path + " " + b.PathSource
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestDetails(t *testing.T) {
	for want, e := range map[string]Event{
		"O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC 0644 ": {FileHead: abi.FileHead{Operation: uint16(abi.FileOpen), Details: [2]uint32{unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_CLOEXEC, 0o100644}}},
		"O_RDWR|O_TMPFILE 0600 ":                  {FileHead: abi.FileHead{Operation: uint16(abi.FileOpen), Details: [2]uint32{unix.O_RDWR | unix.O_TMPFILE, 0o600}}},
		"O_RDWR  ":                                {FileHead: abi.FileHead{Operation: uint16(abi.FileOpen), Details: [2]uint32{unix.O_RDWR, 0o600}}},
		" 4755 ":                                  {FileHead: abi.FileHead{Operation: uint16(abi.FileChmod), Details: [2]uint32{0, 0o4755}}},
		"  0:":                                    {FileHead: abi.FileHead{Operation: uint16(abi.FileChown), Details: [2]uint32{0, ^uint32(0)}}},
		"RENAME_NOREPLACE|RENAME_WHITEOUT  ":      {FileHead: abi.FileHead{Operation: uint16(abi.FileRename), Details: [2]uint32{5}}},
	} {
		e.Flags = uint16(abi.FileDetails)
		b := e.Body(&Plan{}, nothing)
		if got := b.Flags + " " + b.Mode + " " + b.Owner; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(abi.FileRename, abi.FileNamed, nil, "f\x00etc\x00", "x/../y\x00", "g\x00", "/y\x00"))
	f.Add(encode(abi.FileSymlink, abi.FileUnproven|abi.FileHostRoot, nil, "", "..\x00", "", "\xff\x00"))
	f.Add(encode(abi.FileOpen, 0, func(h *abi.FileHead) { h.WalkLength[0] = 65535 }, "f\x00"))
	f.Add(encode(abi.FileOpen, 0, nil, "f\x00")[:50])
	plan := NewPlan([]string{"/etc"}, hostOf("/", "/etc"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Decode(raw)
		if err != nil {
			return
		}
		b := e.Body(plan, nothing)
		if b == nil {
			return
		}
		for _, text := range []string{b.Path, b.NewPath, b.Target, b.Flags, b.Operation} {
			if !utf8.ValidString(text) || len(text) > 3*len(raw)+200 {
				t.Errorf("%q is no text", text)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := encode(abi.FileOpen, 0, nil, "passwd\x00etc\x00")
	b.ReportAllocs()
	for b.Loop() {
		e, err := Decode(raw)
		if err != nil || e.Body(&Plan{}, nothing) == nil {
			b.Fatal(err)
		}
	}
}
