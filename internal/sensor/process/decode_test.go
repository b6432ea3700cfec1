// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/skep-io/skep/internal/abi"
	"github.com/skep-io/skep/internal/redact"
	"github.com/skep-io/skep/internal/walk"
)

// bytesOf is the memory of a fixed record, as the kernel side would write it.
func bytesOf[T any](r *T) []byte {
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r)))
}

// execRecord writes an exec record with these four texts.
func execRecord(h abi.ExecHead, args, filename, exe, cwd string) []byte {
	h.ArgsLength, h.FilenameLength = uint16(len(args)), uint16(len(filename))
	h.ExeLength, h.CwdLength = uint16(len(exe)), uint16(len(cwd))
	h.Header.Type, h.Header.Version = uint16(abi.EventExec), 1
	raw := append(bytesOf(&h), args+filename+exe+cwd...)
	h.Header.Length = uint32(len(raw))
	return append(bytesOf(&h), raw[unsafe.Sizeof(h):]...)
}

func typicalExec() []byte {
	h := abi.ExecHead{Inode: 42, Device: 8<<20 | 1, ExePathFlags: walk.Complete, CwdPathFlags: walk.Complete, NSPid: 7}
	h.Process = abi.Process{ID: abi.ExecID{StartNS: 100, ExecNS: 200, Tgid: 7}, Parent: abi.ExecID{StartNS: 1, ExecNS: 1, Tgid: 1}}
	copy(h.Comm[:], "curl")
	copy(h.TTY[:], "pts3")
	return execRecord(h, "curl\x00-s\x00http://example.org/\x00", "/usr/bin/curl\x00", "curl\x00bin\x00usr\x00", "you\x00home\x00")
}

func TestDecodeExec(t *testing.T) {
	e, err := DecodeExec(typicalExec(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := e.Body
	if got := strings.Join(b.Args, "|"); got != "curl|-s|http://example.org/" {
		t.Errorf("args: %s", got)
	}
	if b.File.Path != "/usr/bin/curl" || b.File.Device != "8:1" || b.File.Inode != 42 || b.File.PathSource != "kernel" {
		t.Errorf("file: %v", b.File)
	}
	if b.Cwd != "/home/you" || b.Filename != "/usr/bin/curl" || b.Tty != "pts/3" || e.Comm != "curl" || b.NsPid != 7 {
		t.Errorf("exec: %v", b)
	}
	if b.Setuid || b.Setgid || b.FileCaps || b.Unlinked || b.Memfd || b.Script != "" || e.NoPaths || b.ArgsTruncated {
		t.Errorf("flags: %v", b)
	}
}

// TestDecodeExecRedacts: neither form of the arguments has the secret.
func TestDecodeExecRedacts(t *testing.T) {
	rules, err := redact.Compile(redact.Options{Defaults: true})
	if err != nil {
		t.Fatal(err)
	}
	e, err := DecodeExec(execRecord(abi.ExecHead{}, "x\x00--token\x00hunter2\xff\x00a\xff\x00", "/x\x00", "x\x00", ""), redact.New(rules))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(e.Body.Args, "|"); got != "x|--token|[redacted]|a\uFFFD" || e.Body.ArgsRedacted != 1 {
		t.Errorf("args: %s, %d redacted", got, e.Body.ArgsRedacted)
	}
	if got := string(e.Body.ArgsRaw); got != "x\x00--token\x00[redacted]\x00a\xff" {
		t.Errorf("raw args: %q", got)
	}
}

func TestDecodeExecFlags(t *testing.T) {
	for flag, is := range map[abi.ExecFlag]func(Exec) bool{
		abi.ExecSetuid: func(e Exec) bool { return e.Body.Setuid }, abi.ExecSetgid: func(e Exec) bool { return e.Body.Setgid },
		abi.ExecFileCaps: func(e Exec) bool { return e.Body.FileCaps }, abi.ExecUnlinked: func(e Exec) bool { return e.Body.Unlinked },
		abi.ExecScript:        func(e Exec) bool { return e.Body.Script == "/s" },
		abi.ExecArgsTruncated: func(e Exec) bool { return e.Body.ArgsTruncated },
		abi.ExecNoPaths:       func(e Exec) bool { return e.NoPaths },
	} {
		for _, set := range []bool{true, false} {
			h := abi.ExecHead{}
			if set {
				h.Flags = uint32(flag)
			}
			e, err := DecodeExec(execRecord(h, "a\x00", "/s\x00", "", ""), nil)
			if err != nil || is(e) != set {
				t.Errorf("flag %d set %t: %v %v", flag, set, e, err)
			}
		}
	}
}

// TestTruncatedCwd: what lost its front says so, and what did not does not.
func TestTruncatedCwd(t *testing.T) {
	for flags, want := range map[uint16]bool{walk.Truncated: true, walk.Complete: false} {
		e, err := DecodeExec(execRecord(abi.ExecHead{CwdPathFlags: flags}, "", "", "", "leaf\x00mid\x00"), nil)
		if err != nil || e.Body.CwdTruncated != want || strings.HasPrefix(e.Body.Cwd, "/") == want {
			t.Errorf("flags %d: %v %v", flags, e.Body, err)
		}
	}
}

// TestMemfd: the name alone makes none.
func TestMemfd(t *testing.T) {
	for flags, want := range map[uint16]bool{walk.Unreachable | walk.Pseudo: true, walk.Complete: false, walk.Unreachable: false} {
		e, err := DecodeExec(execRecord(abi.ExecHead{Flags: uint32(abi.ExecUnlinked), ExePathFlags: flags}, "", "", "memfd:x\x00", ""), nil)
		if err != nil || e.Body.Memfd != want || e.Body.File.Path != "/memfd:x" {
			t.Errorf("flags %d: %v %v", flags, e.Body, err)
		}
	}
}

func TestDecodeExecTooShort(t *testing.T) {
	whole := typicalExec()
	for n := range whole {
		if _, err := DecodeExec(whole[:n], nil); err == nil {
			t.Fatalf("%d bytes of %d are decoded", n, len(whole))
		}
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct{ area, args, raw string }{
		{"", "", ""},
		{"\x00", "<>", ""},
		{"a\x00", "<a>", ""},
		{"a\x00\x00b\x00\x00", "<a><><b><>", ""},
		{"a\x00cut", "<a><cut>", ""},
		{"a\x00\xff\xfe\x00b\x00", "<a><\uFFFD><b>", "a\x00\xff\xfe\x00b"},
		{"cut \xc3", "<cut \uFFFD>", "cut \xc3"},
		{"x\n\x1b[0m\x00", "<x\n\x1b[0m>", ""},
	} {
		args, raw, _ := arguments([]byte(c.area))
		got := ""
		for _, a := range args {
			got += "<" + a + ">"
		}
		if got != c.args || string(raw) != c.raw {
			t.Errorf("%q: %q, raw %q", c.area, got, raw)
		}
	}
}

func TestTerminal(t *testing.T) {
	for name, want := range map[string]string{"": "", "pts0": "pts/0", "pts12": "pts/12", "tty1": "tty1", "ttyS0": "ttyS0", "pts": "pts", "\xff": "\uFFFD"} {
		var field [16]byte
		copy(field[:], name)
		if got := terminal(field[:]); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestHex16(t *testing.T) {
	for mask, want := range map[uint64]string{0: "0000000000000000", 1: "0000000000000001", 0x1ffffffffff: "000001ffffffffff", ^uint64(0): "ffffffffffffffff", 0x1fffeffffff: "000001fffeffffff"} {
		if got := hex16(mask); got != want {
			t.Errorf("%x: %s", mask, got)
		}
	}
}

func TestCPUTimes(t *testing.T) {
	for _, c := range []struct{ user, system, runtime, wantUser, wantSystem uint64 }{
		{0, 0, 0, 0, 0},
		{0, 0, 5, 5, 0},
		{4, 0, 5, 5, 0},
		{0, 4, 5, 0, 5},
		{3, 1, 1000, 750, 250},
		{1, 1, ^uint64(0), ^uint64(0) - ^uint64(0)/2, ^uint64(0) / 2},
		{^uint64(0), 1, 9, ^uint64(0), 1}, // their sum overflows: shown as they came
		{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)},
	} {
		user, system := cpuTimes(c.user, c.system, c.runtime)
		if user != c.wantUser || system != c.wantSystem {
			t.Errorf("%v: %d, %d", c, user, system)
		}
	}
}

func TestExitBody(t *testing.T) {
	for _, c := range []struct {
		status, code, signal uint32
		name                 string
		core                 bool
	}{
		{0, 0, 0, "", false}, {7 << 8, 7, 0, "", false}, {0xff00, 255, 0, "", false},
		{9, 0, 9, "SIGKILL", false}, {11 | 0x80, 0, 11, "SIGSEGV", true}, {34, 0, 34, "", false},
	} {
		r := abi.ExitRecord{Status: c.status, MaxRSSPages: 2}
		r.Header.BootNS, r.Process.ID.StartNS = 50, 20
		e := ExitBody(&r)
		if e.Code != c.code || e.Signal != c.signal || e.SignalName != c.name || e.CoreDumped != c.core ||
			e.DurationNs != 30 || e.MaxRssBytes != 2*pageSize {
			t.Errorf("status %#x: %v", c.status, e)
		}
	}
	if d := ExitBody(&abi.ExitRecord{Process: abi.Process{ID: abi.ExecID{StartNS: 9}}}).DurationNs; d != 0 {
		t.Errorf("an exit before the start lasted %d ns", d)
	}
}

func TestDecodeCgroup(t *testing.T) {
	var r abi.CgroupRecord
	r.CgroupID, r.PathLength = 5, 6
	copy(r.Path[:], "/a/bc\x00junk")
	raw := bytesOf(&r)
	c, err := DecodeCgroup(raw)
	if err != nil || c.ID != 5 || c.Path != "/a/bc" {
		t.Errorf("%v %v", c, err)
	}
	short := int(unsafe.Offsetof(r.Path)) + 6
	if _, err := DecodeCgroup(raw[:short]); err != nil {
		t.Error(err)
	}
	for n := range short {
		if _, err := DecodeCgroup(raw[:n]); err == nil {
			t.Fatalf("%d bytes are decoded", n)
		}
	}
}

func TestDecodeScan(t *testing.T) {
	a, b := abi.Process{UID: 1}, abi.Process{UID: 2}
	all, err := DecodeScan(append(bytesOf(&a), bytesOf(&b)...))
	if err != nil || len(all) != 2 || all[0] != a || all[1] != b {
		t.Errorf("%v %v", all, err)
	}
	if _, err := DecodeScan(bytesOf(&a)[1:]); err == nil {
		t.Error("half a record is decoded")
	}
	if all, err := DecodeScan(nil); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

func FuzzDecodeExec(f *testing.F) {
	f.Add(typicalExec())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := DecodeExec(raw, nil)
		if err != nil {
			return
		}
		b := e.Body
		for _, text := range append([]string{e.Comm, b.Cwd, b.Filename, b.Script, b.Tty, b.File.Path}, b.Args...) {
			if !utf8.ValidString(text) {
				t.Errorf("%q is no text", text)
			}
		}
		if len(b.ArgsRaw) > 0 && utf8.Valid(b.ArgsRaw) {
			t.Errorf("args_raw %q is text", b.ArgsRaw)
		}
		if len(b.Args) > 0 && len(b.ArgsRaw) == 0 && len(strings.Join(b.Args, "\x00")) > len(raw) {
			t.Error("the arguments have grown")
		}
	})
}

func FuzzDecodeCgroup(f *testing.F) {
	r := abi.CgroupRecord{PathLength: 3}
	copy(r.Path[:], "/a\x00")
	f.Add(bytesOf(&r))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := DecodeCgroup(raw)
		if err == nil && (len(c.Path) > len(raw) || strings.ContainsRune(c.Path, 0)) {
			t.Errorf("path %q", c.Path)
		}
	})
}

func FuzzDecodeFixed(f *testing.F) {
	f.Add(bytesOf(&abi.ExitRecord{Status: 9, UserNS: 1, SystemNS: 2, RuntimeNS: 5}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var exit abi.ExitRecord
		if Decode(raw, &exit) == nil {
			if e := ExitBody(&exit); e.Code > 255 || e.Signal > 127 || e.Signal != 0 && e.Code != 0 {
				t.Errorf("%v", e)
			}
		}
		var fork abi.ForkRecord
		if Decode(raw, &fork) == nil && !utf8.ValidString(Comm(fork.Comm)) {
			t.Errorf("comm %q", Comm(fork.Comm))
		}
		var oom abi.OOMRecord
		if Decode(raw, &oom) == nil {
			OomBody(&oom)
		}
		if all, err := DecodeScan(raw); err == nil && len(all)*int(unsafe.Sizeof(abi.Process{})) != len(raw) {
			t.Errorf("%d processes in %d bytes", len(all), len(raw))
		}
	})
}

func BenchmarkDecodeExec(b *testing.B) {
	raw := typicalExec()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeExec(raw, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestArgumentCount: a string header takes 16 bytes, the empty argument itself one.
func TestArgumentCount(t *testing.T) {
	for _, c := range []struct {
		area      string
		args, raw int
		cut       bool
	}{
		{strings.Repeat("\x00", 511), 511, 0, false},
		{strings.Repeat("\x00", 1024), 1024, 0, false},
		{strings.Repeat("\x00", 1025), 1024, 0, true},
		{strings.Repeat("\x00", 4080), 1024, 0, true},
		{strings.Repeat("\xff\x00", 2048), 1024, 2047, true},
	} {
		args, raw, cut := arguments([]byte(c.area))
		if len(args) != c.args || cap(args) > 1024 || len(raw) != c.raw || cut != c.cut {
			t.Errorf("%d bytes: %d arguments, %d raw, cut %t; want %d, %d, %t", len(c.area), len(args), len(raw), cut, c.args, c.raw, c.cut)
		}
	}
}
