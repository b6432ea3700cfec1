// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/kern/executable"
)

var _ bt.Host = (*Host)(nil)

func newHost(t *testing.T) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: asks the kernel what can be traced")
	}
	h := New("/sys/fs/cgroup/unified")
	t.Cleanup(func() { h.Close() })
	return h
}

func names(targets []bt.Target) []string {
	var out []string
	for _, t := range targets {
		out = append(out, t.Name)
	}
	return out
}

func TestTargets(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		kind    bt.ProbeKind
		pattern bt.Target
		want    string
	}{
		{bt.Tracepoint, bt.Target{Category: "syscalls", Event: "sys_enter_openat"}, "tracepoint:syscalls:sys_enter_openat"},
		{bt.Tracepoint, bt.Target{Category: "syscalls", Event: "sys_*_openat"}, "tracepoint:syscalls:sys_enter_openat"},
		{bt.Tracepoint, bt.Target{Category: "sys[cd]alls", Event: "*openat"}, "tracepoint:syscalls:sys_exit_openat"},
		{bt.RawTracepoint, bt.Target{Event: "sched_sw*"}, "rawtracepoint:sched_switch"},
		{bt.Iterator, bt.Target{Event: "task"}, "iter:task"},
		{bt.Software, bt.Target{Event: "page-faults"}, "software:page-faults:"},
		{bt.Uprobe, bt.Target{Binary: "libc", Function: "getppid"}, ":getppid"},
		{bt.Uprobe, bt.Target{Binary: "libc", Function: "get*id"}, ":geteuid"},
		{bt.Watchpoint, bt.Target{Name: "watchpoint:0x1000:8:w", Offset: 0x1000}, "watchpoint:0x1000:8:w"},
	} {
		got, err := h.Targets(c.kind, c.pattern)
		found := slices.ContainsFunc(names(got), func(n string) bool { return strings.HasSuffix(n, c.want) })
		if err != nil || !found || !slices.IsSorted(names(got)) {
			t.Errorf("%+v: %v, %v", c.pattern, names(got), err)
		}
	}
	if got, err := h.Targets(bt.Tracepoint, bt.Target{Category: "syscalls", Event: "sys_enter_nothing"}); err != nil || len(got) > 0 {
		t.Errorf("found %v, %v", got, err)
	}
	if _, err := h.Targets(bt.Uprobe, bt.Target{Binary: "/no/such/file", Function: "f"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := h.Targets(bt.Kprobe, bt.Target{Function: "vfs_read"}); err != nil && !errors.Is(err, kern.ErrUnavailable) {
		t.Error(err)
	}
}

// TestNoModule: a module that is not there is told, whether this kernel has the kind or not.
func TestNoModule(t *testing.T) {
	h := New("")
	for _, kind := range []bt.ProbeKind{bt.Kprobe, bt.Kretprobe, bt.Fentry, bt.Fexit} {
		for _, module := range []string{"skep_nonsense", "../module/skep_nonsense"} {
			_, err := h.Targets(kind, bt.Target{Module: module, Function: "vfs_read"})
			if none := (*bt.NoModule)(nil); !errors.As(err, &none) || none.Module != module {
				t.Errorf("%d in %s: %v", kind, module, err)
			}
		}
	}
	if _, err := h.Targets(bt.Kprobe, bt.Target{Module: vmlinux, Function: "vfs_read"}); errors.As(err, new(*bt.NoModule)) {
		t.Errorf("the kernel itself: %v", err)
	}
}

func TestNearby(t *testing.T) {
	h := newHost(t)
	got := h.Nearby(bt.Tracepoint, bt.Target{Category: "syscalls", Event: "sys_enter_opemat"})
	if len(got) == 0 || got[0] != "tracepoint:syscalls:sys_enter_openat" {
		t.Errorf("got %v", got)
	}
	if got := h.Nearby(bt.Uprobe, bt.Target{Binary: "libc", Function: "getpid_"}); len(got) == 0 || len(got) > mostNearby {
		t.Errorf("got %v", got)
	}
}

func TestTracepoint(t *testing.T) {
	h := newHost(t)
	field := func(category, event, name string) bt.Member {
		fields, ok := h.Tracepoint(category, event)
		i := slices.IndexFunc(fields, func(m bt.Member) bool { return m.Name == name })
		if !ok || i < 0 {
			t.Fatalf("%s has no %s", event, name)
		}
		return fields[i]
	}
	if m := field("syscalls", "sys_enter_openat", "filename"); m.Offset != 24 || m.Type.Kind != bt.Pointer || m.Type.Elem == nil || m.Type.Elem.Name != "char" {
		t.Errorf("%+v", m)
	}
	if m := field("sched", "sched_switch", "prev_comm"); m.Type.Kind != bt.ArrayOf || m.Type.Size != 16 || m.Type.Elem.Name != "char" {
		t.Errorf("%+v", m)
	}
	if m := field("sched", "sched_process_exec", "filename"); !m.Dynamic || m.Relative {
		t.Errorf("%+v", m)
	}
}

func TestTypes(t *testing.T) {
	h := newHost(t)
	if s, ok := h.Signature(bt.RawTracepoint, bt.Target{Event: "sched_process_exec"}); !ok || len(s.Params) != 3 || s.Params[0].Type.Elem.Name != "struct task_struct" {
		t.Errorf("%+v", s)
	}
	s, ok := h.Signature(bt.Iterator, bt.Target{Event: "task"})
	i := slices.IndexFunc(s.Params, func(m bt.Member) bool { return m.Name == "task" })
	if !ok || i < 0 || s.Params[i].Offset != 8 || s.Params[i].Type.Elem.Name != "struct task_struct" {
		t.Errorf("%+v", s)
	}
	if value, enum, ok := h.EnumValue("PIDTYPE_TGID"); !ok || value != 1 || h.EnumName(enum, value) != "PIDTYPE_TGID" {
		t.Errorf("%d of %s", value, enum)
	}
	if address, ok := h.KernelSymbol("vfs_read"); !ok || address < 1<<63 {
		t.Errorf("vfs_read at %#x", address)
	}
	if m := h.Machine(); !m.Cookies[bt.Tracepoint] && m.CPUv4 {
		t.Error("no cookies on a kernel that is newer than they are")
	}
}

func TestCgroupID(t *testing.T) {
	h := newHost(t)
	id, ok := h.CgroupID("/sys/fs/cgroup")
	if !ok {
		id, ok = h.CgroupID("/sys/fs/cgroup/unified")
	}
	if !ok || id != 1 {
		t.Errorf("the root is %d, %t", id, ok)
	}
	if _, ok := h.CgroupID("/no/such/cgroup"); ok {
		t.Error("found what is not there")
	}
}

func TestOperands(t *testing.T) {
	for _, c := range []struct {
		arch, text string
		want       []bt.Operand
	}{
		{"amd64", "8@%rdi -4@$5 4@%eax", []bt.Operand{{Size: 8, Register: "di"}, {Size: 4, Signed: true, Offset: 5}, {Size: 4, Register: "ax"}}},
		{"amd64", "-4@-12(%rbp) 1@(%rax,%rbx,4) 2@%r8w", []bt.Operand{{Size: 4, Signed: true, Register: "bp", Memory: true, Offset: -12},
			{Size: 1, Register: "ax", Memory: true, Index: "bx", Scale: 4}, {Size: 2, Register: "r8"}}},
		{"amd64", "", nil},
		{"arm64", "4@w0 8@[sp, 16] -8@[x1] 8@[x2, x3] 4@7", []bt.Operand{{Size: 4, Register: "x0"}, {Size: 8, Register: "sp", Memory: true, Offset: 16},
			{Size: 8, Signed: true, Register: "x1", Memory: true}, {Size: 8, Register: "x2", Memory: true, Index: "x3", Scale: 1}, {Size: 4, Offset: 7}}},
	} {
		if got, ok := parseOperands(c.text, c.arch); !ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %t", c.text, got, ok)
		}
	}
	for _, bad := range []string{"8@%nothing", "9@%rax", "x@%rax", "8@(%rax", "8@%rax(", "8@(%rax,%rbx,3)", "8@sym(%rip"} {
		if got, ok := parseOperands(bad, "amd64"); ok {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}

func TestGlob(t *testing.T) {
	for pattern, cases := range map[string]map[string]bool{
		"a*c":      {"abc": true, "a/c": true, "ab": false},
		"[ab]x":    {"ax": true, "cx": false},
		"a?c":      {"abc": true, "ac": false},
		"":         {"anything": true, "": true},
		"a.c":      {"abc": false, "a.c": true},
		"[z-a]":    {"[z-a]": true, "z": false},
		"a[":       {"a[": true},
		"vfs_*ead": {"vfs_read": true, "vfs_reads": false},
	} {
		for name, want := range cases {
			if got := newGlob(pattern).match(name); got != want {
				t.Errorf("%s, %s: %t", pattern, name, got)
			}
		}
	}
}

// TestDemangled compares with what c++filt(1) prints, and looks a function of C++ up.
func TestDemangled(t *testing.T) {
	for name, want := range map[string]string{
		"_ZNSt6vectorIiSaIiEE9push_backERKi": "std::vector<int, std::allocator<int> >::push_back(int const&)",
		"_ZdlPv":                             "operator delete(void*)",
		"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE": "core::fmt::Write::write_fmt",
		"main":  "main",
		"_Zbad": "_Zbad",
	} {
		if got := Demangled(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	h := newHost(t)
	for pattern, want := range map[string]string{"operator delete(void*)": "_ZdlPv", "operator delete": "_ZdlPv", "std::terminate": "_ZSt9terminatev"} {
		got, err := h.Targets(bt.Uprobe, bt.Target{Binary: "stdc++", Function: pattern, Language: "cpp"})
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("needs libstdc++: %v", err)
		}
		if !slices.ContainsFunc(got, func(one bt.Target) bool { return one.Function == want }) {
			t.Errorf("%s: %v, %v", pattern, names(got), err)
		}
	}
}

func FuzzOperands(f *testing.F) {
	f.Add("8@%rdi -4@$5 4@-8(%rbp,%rax,4)")
	f.Add("8@[sp, x1] -4@w30 ]][[ @@")
	f.Fuzz(func(t *testing.T, text string) {
		for _, arch := range []string{"amd64", "arm64"} {
			operands, ok := parseOperands(text, arch)
			for _, o := range operands {
				if ok && (o.Size < 1 || o.Size > 8 || o.Memory && o.Register == "") {
					t.Errorf("%+v", o)
				}
			}
		}
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("a*[b-c]?", "abc")
	f.Fuzz(func(t *testing.T, pattern, name string) { newGlob(pattern).match(name) })
}

// A relative path begins where the user is, and is shown as it was written; a process's
// executables are found where it has them.
func TestFiles(t *testing.T) {
	h := newHost(t)
	libc, err := executable.Find("libc", 0)
	if err != nil {
		t.Fatal(err)
	}
	sleep := exec.Command("sleep", "600")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = sleep.Process.Kill(), sleep.Wait() }()
	for end := time.Now().Add(20 * time.Second); !slices.ContainsFunc(executable.Mapped(sleep.Process.Pid), func(p string) bool { return strings.Contains(p, "libc.") }); {
		if time.Now().After(end) {
			t.Fatal("sleep has mapped no libc")
		}
	}
	dir, file := filepath.Split(libc)
	for _, c := range []struct {
		pattern bt.Target
		want    string
	}{
		{bt.Target{Binary: "./" + file, Directory: dir}, "uprobe:./" + file + ":getppid"},
		{bt.Target{Binary: "./" + file[:len(file)-1] + "*", Directory: dir}, "uprobe:./" + file + ":getppid"},
		{bt.Target{Binary: "*", PID: sleep.Process.Pid}, file + ":getppid"},
		{bt.Target{Binary: libc[:len(libc)-1] + "*", PID: sleep.Process.Pid}, fmt.Sprintf("uprobe:/proc/%d/root%s:getppid", sleep.Process.Pid, libc)},
		{bt.Target{Binary: libc}, "uprobe:" + libc + ":getppid"},
	} {
		c.pattern.Function = "getppid"
		got, err := h.Targets(bt.Uprobe, c.pattern)
		if err != nil || len(got) != 1 || !strings.HasSuffix(got[0].Name, c.want) || !filepath.IsAbs(got[0].Binary) {
			t.Errorf("%+v: %v, %v, expected %s", c.pattern, got, err, c.want)
		}
	}
}

// TestReplacedSinceFound: addresses that were found in one file are not attached to in another.
func TestReplacedSinceFound(t *testing.T) {
	h := newHost(t)
	library, err := executable.Find("stdc++", 0)
	if err != nil {
		t.Skipf("needs a library with USDT probes: %v", err)
	}
	path := filepath.Join(t.TempDir(), "library")
	put := func(from string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = errors.Join(os.WriteFile(path+".new", text, 0o755), os.Rename(path+".new", path))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(library)
	found, err := h.Targets(bt.USDT, bt.Target{Binary: path, Provider: "*", Event: "*"})
	if err != nil || len(found) == 0 {
		t.Skipf("needs a library with USDT probes: %s has none: %v", library, err)
	}
	f, err := h.Files.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	functions := f.Functions()
	some := functions[slices.IndexFunc(functions, func(s executable.Symbol) bool { return s.Size > 0 })]
	addresses, err := h.Targets(bt.Uprobe, bt.Target{Binary: path, Offset: some.Address})
	if err != nil || len(addresses) != 1 {
		t.Fatal(addresses, err)
	}
	address := addresses[0]
	for kind, target := range map[bt.ProbeKind]bt.Target{bt.USDT: found[0], bt.Uprobe: address} {
		if _, err := h.Place(kind, target); err != nil {
			t.Errorf("%+v: %v", target, err)
		}
	}
	libc, err := executable.Find("libc", 0)
	if err != nil {
		t.Fatal(err)
	}
	put(libc)
	for kind, target := range map[bt.ProbeKind]bt.Target{bt.USDT: found[0], bt.Uprobe: address} {
		if place, err := h.Place(kind, target); !errors.Is(err, executable.ErrReplaced) {
			t.Errorf("%s is placed at %#x of another file: %v", target.Name, place.Offset, err)
		}
	}
}

func TestErrorNumbers(t *testing.T) {
	h := newHost(t)
	if n, _, ok := h.EnumValue("ENOENT"); !ok || n != 2 {
		t.Errorf("ENOENT: %d, %v", n, ok)
	}
	if _, _, ok := h.EnumValue("ENOSUCHERROR"); ok {
		t.Error("ENOSUCHERROR is an error")
	}
}
