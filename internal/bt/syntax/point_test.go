// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/compile"
)

func TestAttachPoints(t *testing.T) {
	for text, want := range map[string]AttachPoint{
		"BEGIN":                      {Provider: "begin"},
		"end":                        {Provider: "end"},
		"self:signal:SIGUSR1":        {Provider: "self", Category: "signal", Event: "SIGUSR1"},
		"k:vfs_read":                 {Provider: "kprobe", Function: "vfs_read"},
		"kprobe:mod:f":               {Provider: "kprobe", Module: "mod", Function: "f"},
		"kprobe:f+0x10":              {Provider: "kprobe", Function: "f", Offset: 16, HasOffset: true},
		"kprobe:f + 3":               {Provider: "kprobe", Function: "f", Offset: 3, HasOffset: true},
		"kprobe:0xffff0000":          {Provider: "kprobe", Address: 0xffff0000, HasAddress: true},
		"kr:vfs_*":                   {Provider: "kretprobe", Function: "vfs_*"},
		"kprobe:$1":                  {Provider: "kprobe", Function: "vfs_read"},
		"uprobe:$4:main":             {Provider: "uprobe", Path: "/bin/sh", Function: "main"},
		"u:/bin/sh:main+1":           {Provider: "uprobe", Path: "/bin/sh", Function: "main", Offset: 1, HasOffset: true},
		"u:/bin/sh:0x1000":           {Provider: "uprobe", Path: "/bin/sh", Address: 0x1000, HasAddress: true},
		"ur:libc:malloc":             {Provider: "uretprobe", Path: "libc", Function: "malloc"},
		`uprobe:./a:cpp:"f(int, x)"`: {Provider: "uprobe", Path: "./a", Language: "cpp", Function: "f(int, x)"},
		"uprobe:./a:a/b.(*T).M":      {Provider: "uprobe", Path: "./a", Function: "a/b.(*T).M"},
		`uprobe:/a\ b:f`:             {Provider: "uprobe", Path: "/a b", Function: "f"},
		"uprobe:main":                {Provider: "uprobe", Function: "main"},
		"usdt:/bin/a:p:e":            {Provider: "usdt", Path: "/bin/a", Category: "p", Event: "e"},
		"U:./a:e":                    {Provider: "usdt", Path: "./a", Event: "e"},
		"t:sched:sched_switch":       {Provider: "tracepoint", Category: "sched", Event: "sched_switch"},
		"t:*read*":                   {Provider: "tracepoint", Category: "*", Event: "*read*"},
		"rt:sys_enter":               {Provider: "rawtracepoint", Event: "sys_enter"},
		"rawtracepoint:vmlinux:exec": {Provider: "rawtracepoint", Module: "vmlinux", Event: "exec"},
		"p:hz:99":                    {Provider: "profile", Unit: "hz", Count: 99},
		"i:ms:100":                   {Provider: "interval", Unit: "ms", Count: 100},
		"interval:s:$2":              {Provider: "interval", Unit: "s", Count: 42},
		"interval:1s":                {Provider: "interval", Unit: "s", Count: 1},
		"interval:1500ms":            {Provider: "interval", Unit: "ms", Count: 1500},
		"interval:2000000000":        {Provider: "interval", Unit: "s", Count: 2},
		"s:page-faults":              {Provider: "software", Event: "page-faults"},
		"h:cache-misses:1e6":         {Provider: "hardware", Event: "cache-misses", Count: 1e6},
		"w:0x1000:8:rw":              {Provider: "watchpoint", Address: 0x1000, HasAddress: true, Length: 8, Mode: "rw"},
		"aw:f+arg1:4:w":              {Provider: "asyncwatchpoint", Function: "f", Argument: 1, Length: 4, Mode: "w"},
		"kfunc:f":                    {Provider: "fentry", Function: "f"},
		"fr:mod:f":                   {Provider: "fexit", Module: "mod", Function: "f"},
		"fentry:bpf:12:p":            {Provider: "fentry", BPF: true, ID: 12, Function: "p"},
		"fentry:bpf:p":               {Provider: "fentry", BPF: true, Function: "p"},
		"it:task_file:/sys/fs/bpf/x": {Provider: "iter", Event: "task_file", Path: "/sys/fs/bpf/x"},
		"*:*":                        {Provider: "*", Function: "*", Event: "*"},
		"fentry:tcp_[a-z]*":          {Provider: "fentry", Function: "tcp_[a-z]*"},
	} {
		points, errors := ParsePoints(text, arguments)
		if len(errors) > 0 || len(points) != 1 {
			t.Errorf("%s: %d points, %v", text, len(points), errors.Err())
			continue
		}
		got := *points[0]
		again, errors := ParsePoints(got.Text, nil)
		if err := errors.Err(); err != nil || *again[0] != got {
			t.Errorf("%s is printed as %s, which is read as %+v, %v", text, got.Text, again, err)
		}
		got.At, got.Text = At{}, ""
		if got != want {
			t.Errorf("%s is read as\n%+v, expected\n%+v", text, got, want)
		}
	}
}

func TestProbeLists(t *testing.T) {
	program := parse(t, "k:a,\n k:b, // comment\n tracepoint:c:d,\n/pid == 1/ { }\nuprobe:/bin/sh:f /1/2/ { exit() }\nk:x/arg0/{}")
	if len(program.Probes) != 3 {
		t.Fatalf("%d probes", len(program.Probes))
	}
	first := program.Probes[0]
	var names []string
	for _, p := range first.Points {
		names = append(names, p.Text)
	}
	if got := strings.Join(names, " "); got != "k:a k:b tracepoint:c:d" {
		t.Errorf("points are %s", got)
	}
	if got := first.Points[1].Pos; got != (compile.Pos{Line: 2, Column: 2}) {
		t.Errorf("the second point is at %v", got)
	}
	if got := lisp(program.Probes[1].Predicate); got != "(/ 1 2)" {
		t.Errorf("predicate is %s", got)
	}
	if got := lisp(program.Probes[2].Predicate); got != "arg0" {
		t.Errorf("predicate is %s", got)
	}
}
