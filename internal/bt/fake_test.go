// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/skep-io/skep/internal/bt"
)

// fakeHost is a machine with a few probes, types and symbols.
type fakeHost struct {
	cookies bool
	lacks   map[int64]bool
}

func number(size int, signed bool) bt.Type {
	return bt.Type{Kind: bt.Integer, Size: size, Signed: signed}
}

func char() bt.Type {
	t := number(1, true)
	t.Name = "char"
	return t
}

func pointer(elem bt.Type) bt.Type { return bt.Type{Kind: bt.Pointer, Size: 8, Elem: &elem} }

func array(elem bt.Type, n int) bt.Type {
	return bt.Type{Kind: bt.ArrayOf, Size: elem.Size * n, Elem: &elem}
}

func record(name string, size int) bt.Type { return bt.Type{Kind: bt.Record, Name: name, Size: size} }

func (h *fakeHost) Machine() bt.Machine {
	m := bt.Machine{Arch: "amd64", CPUs: 2, PageSize: 4096, CPUv4: true,
		TypedArguments: map[bt.ProbeKind]bool{bt.RawTracepoint: true, bt.Fentry: true, bt.Fexit: true, bt.Iterator: true}}
	if h.cookies {
		m.Cookies = map[bt.ProbeKind]bool{bt.Kprobe: true, bt.Tracepoint: true}
	}
	return m
}

// probes are the names that there are, by kind.
func probes() map[bt.ProbeKind][]string {
	return map[bt.ProbeKind][]string{
		bt.Tracepoint: {"syscalls:sys_enter_openat", "syscalls:sys_exit_openat", "raw_syscalls:sys_exit",
			"sched:sched_process_exec", "sched:sched_switch", "net:rel"},
		bt.RawTracepoint: {"sched_switch"},
		bt.Kprobe:        {"vfs_read", "vfs_write", "tcp_connect"},
		bt.Kretprobe:     {"vfs_read", "vfs_write"},
		bt.Fentry:        {"vfs_read", "vfs_write"},
		bt.Fexit:         {"vfs_read"},
		bt.Uprobe:        {"/bin/sh:main"},
		bt.Uretprobe:     {"/bin/sh:main"},
		bt.USDT:          {"/bin/sh:prov:point"},
		bt.Iterator:      {"task"},
		bt.Software:      {"cpu-clock"},
		bt.Hardware:      {"cycles"},
		bt.Watchpoint:    {"0x1000"},
	}
}

func (h *fakeHost) Targets(kind bt.ProbeKind, p bt.Target) ([]bt.Target, error) {
	var out []bt.Target
	for _, name := range probes()[kind] {
		t := h.target(kind, name)
		if matches(p.Category, t.Category) && matches(p.Event, t.Event) && matches(p.Function, t.Function) {
			t.Period, t.Mode, t.PID = p.Period, p.Mode, p.PID
			out = append(out, t)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return pattern == "" || err == nil && ok
}

func (h *fakeHost) target(kind bt.ProbeKind, name string) bt.Target {
	parts := strings.Split(name, ":")
	last := parts[len(parts)-1]
	switch kind {
	case bt.Tracepoint:
		return bt.Target{Name: "tracepoint:" + name, Category: parts[0], Event: last}
	case bt.Kprobe, bt.Kretprobe, bt.Fentry, bt.Fexit:
		prefix := map[bt.ProbeKind]string{bt.Kprobe: "kprobe:", bt.Kretprobe: "kretprobe:", bt.Fentry: "fentry:", bt.Fexit: "fexit:"}
		return bt.Target{Name: prefix[kind] + name, Function: name}
	case bt.Uprobe, bt.Uretprobe:
		return bt.Target{Name: "uprobe:" + name, Binary: parts[0], Function: last}
	case bt.USDT:
		return bt.Target{Name: "usdt:" + name, Binary: parts[0], Provider: parts[1], Event: last}
	}
	return bt.Target{Name: fmt.Sprintf("%d:%s", kind, name), Event: last}
}

func (h *fakeHost) Nearby(kind bt.ProbeKind, p bt.Target) []string {
	if kind == bt.Tracepoint && p.Category == "syscalls" {
		return []string{"tracepoint:syscalls:sys_enter_openat"}
	}
	return nil
}

func (h *fakeHost) Tracepoint(category, event string) ([]bt.Member, bool) {
	long := number(8, true)
	table := map[string][]bt.Member{
		"sys_enter_openat": {
			{Name: "__syscall_nr", Type: number(4, true), Offset: 8}, {Name: "dfd", Type: long, Offset: 16},
			{Name: "filename", Type: pointer(char()), Offset: 24}, {Name: "flags", Type: long, Offset: 32},
			{Name: "mode", Type: long, Offset: 40},
		},
		"sys_exit_openat": {{Name: "ret", Type: long, Offset: 16}},
		"sys_exit":        {{Name: "id", Type: long, Offset: 8}, {Name: "ret", Type: long, Offset: 16}},
		"sched_process_exec": {
			{Name: "filename", Type: array(char(), 0), Offset: 8, Dynamic: true},
			{Name: "pid", Type: number(4, true), Offset: 12}, {Name: "old_pid", Type: number(4, true), Offset: 16},
		},
		"sched_switch": {
			{Name: "prev_comm", Type: array(char(), 16), Offset: 8}, {Name: "prev_pid", Type: number(4, true), Offset: 24},
			{Name: "prev_prio", Type: number(4, true), Offset: 28}, {Name: "prev_state", Type: long, Offset: 32},
			{Name: "next_comm", Type: array(char(), 16), Offset: 40}, {Name: "next_pid", Type: number(4, true), Offset: 56},
		},
		"rel": {{Name: "name", Type: array(char(), 0), Offset: 8, Dynamic: true, Relative: true}},
	}
	m, ok := table[event]
	return m, ok
}

func (h *fakeHost) Signature(kind bt.ProbeKind, t bt.Target) (bt.Signature, bool) {
	switch {
	case t.Function == "vfs_read" || t.Function == "vfs_write":
		return bt.Signature{Params: []bt.Member{
			{Name: "file", Type: pointer(record("struct file", 64)), Offset: 0},
			{Name: "buf", Type: bt.Type{Kind: bt.Pointer, Size: 8, Elem: ptrTo(char()), User: true}, Offset: 1},
			{Name: "count", Type: number(8, false), Offset: 2},
			{Name: "pos", Type: pointer(number(8, true)), Offset: 3},
		}, Result: number(8, true)}, true
	case kind == bt.RawTracepoint:
		task := pointer(record("struct task_struct", 256))
		return bt.Signature{Params: []bt.Member{
			{Name: "preempt", Type: number(1, false), Offset: 0}, {Name: "prev", Type: task, Offset: 1},
			{Name: "next", Type: task, Offset: 2},
		}}, true
	case kind == bt.Iterator:
		return bt.Signature{Params: []bt.Member{
			{Name: "meta", Type: pointer(record("struct bpf_iter_meta", 24)), Offset: 0},
			{Name: "task", Type: pointer(record("struct task_struct", 256)), Offset: 8},
		}}, true
	}
	return bt.Signature{}, false
}

func ptrTo(t bt.Type) *bt.Type { return &t }

func (h *fakeHost) Arguments(bt.Target) ([]bt.Operand, bool) {
	return []bt.Operand{
		{Size: 4, Signed: true, Register: "di"},
		{Size: 8, Register: "bp", Memory: true, Offset: -8},
		{Size: 4, Offset: 42},
	}, true
}

func (h *fakeHost) Type(name string) (bt.Type, bool) {
	types := map[string]bt.Type{
		"struct task_struct": record("struct task_struct", 256), "struct file": record("struct file", 64),
		"struct inner": record("struct inner", 16), "pid_t": number(4, true), "u8": number(1, false),
		"enum color": {Kind: bt.Integer, Size: 4, Name: "enum color"},
	}
	t, ok := types[name]
	return t, ok
}

func (h *fakeHost) Members(name string) ([]bt.Member, bool) {
	table := map[string][]bt.Member{
		"struct task_struct": {
			{Name: "pid", Type: number(4, true), Offset: 8}, {Name: "tgid", Type: number(4, true), Offset: 12},
			{Name: "comm", Type: array(char(), 16), Offset: 16}, {Name: "parent", Type: pointer(record("struct task_struct", 256)), Offset: 32},
			{Name: "", Type: record("anon1", 16), Offset: 40},
			{Name: "in", Type: record("struct inner", 16), Offset: 64},
			{Name: "low", Type: number(4, false), Offset: 80, BitOffset: 0, BitSize: 3},
			{Name: "high", Type: number(4, true), Offset: 80, BitOffset: 3, BitSize: 5},
			{Name: "name", Type: pointer(char()), Offset: 88}, {Name: "numbers", Type: array(number(4, false), 4), Offset: 96},
		},
		"anon1":        {{Name: "hidden", Type: number(8, false), Offset: 8}},
		"struct inner": {{Name: "a", Type: number(4, true), Offset: 0}, {Name: "b", Type: number(8, true), Offset: 8}},
		"struct file":  {{Name: "f_mode", Type: number(4, false), Offset: 4}, {Name: "f_task", Type: pointer(record("struct task_struct", 256)), Offset: 8}},
	}
	m, ok := table[name]
	return m, ok
}

func (h *fakeHost) EnumValue(name string) (int64, string, bool) {
	values := map[string]int64{"RED": 0, "GREEN": 1, "O_CREAT": 64}
	n, ok := values[name]
	return n, "enum color", ok
}

func (h *fakeHost) KernelSymbol(name string) (uint64, bool) {
	return 0xffffffff81000000, name == "jiffies_64" || name == "__per_cpu_offset"
}

func (h *fakeHost) UserSymbol(_, name string) (uint64, uint64, bool) {
	return 0x5000, 4, name == "counter"
}
func (h *fakeHost) CgroupID(name string) (uint64, bool) { return 77, name == "/a" }
func (h *fakeHost) Helper(n int64, _ bt.ProbeKind) bool { return !h.lacks[n] }
