// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/vm"
)

// registers is a struct pt_regs of amd64 in which each register holds its place in it.
func registers() []byte {
	var list []uint64
	for i := range 21 {
		list = append(list, uint64(100+i))
	}
	list[19] = 0x2000 // sp
	return words(list...)
}

func TestContexts(t *testing.T) {
	switching := append(words(0), "prev\x00...........\x07\x00\x00\x00\x09\x00\x00\x00"...)
	switching = append(switching, words(5)...)
	switching = append(switching, "next\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00"...)
	relative := append(words(0), 3, 0, 5, 0)
	relative = append(relative, "...text\x00"...)
	tests := []struct {
		script  string
		context []byte
		want    string
	}{
		{`tracepoint:sched:sched_switch { print(args.prev_comm); print(args.next_pid); print(args.prev_state) }`, switching, `prev 11 5`},
		{`tracepoint:sched:sched_switch /args.prev_comm == "prev"/ { @[args.next_comm] = 1; print(args->prev_pid) }`, switching, `7`},
		{`tracepoint:sched:sched_switch /args.prev_comm == "pre"/ { print(1) }`, switching, ``},
		{`tracepoint:sched:sched_switch { @a = args; print(@a.next_pid); print(@a.prev_comm) }`, switching, `11 prev`},
		{`tracepoint:net:rel { print(str(args.name)); printf("%s", args.name); if (args.name == "text") { print(1) } }`, relative, `text text 1`},
		{`tracepoint:syscalls:sys_enter_openat { print(str(args.filename)); print(args.flags); print(args.flags & 64) }`, words(0, 0, 0, 0x1010, 65), `taskname 65 64`},
		{`kprobe:vfs_read { print(arg0); print(arg2); print(reg("ip")); print(sarg1); print(func) }`, registers(), `114 112 116 0 0`},
		{`kprobe:vfs_read { print(args.count) }`, registers(), `112`},
		{`kretprobe:vfs_read { print(retval); print(-retval) }`, registers(), `110 -110`},
		{`uprobe:/bin/sh:main { print(arg1); print(uaddr("counter")); print(func) }`, registers(), `113 20480 0`},
		{`usdt:/bin/sh:prov:point { print(arg0); print(arg2); print(arg1) }`, registers(), `114 42 0`},
		{`rawtracepoint:sched_switch { print(arg0); print(args.preempt) }`, words(257, 0, 0), `257 1`},
		{`fexit:vfs_read { print(retval); print(args.count) }`, words(1, 2, 3, 4, 0xffffffffffffffff), `-1 3`},
		{`profile:hz:99 { print(reg("ip")) }`, registers(), `116`},
	}
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			r := newRig(t, test.script, bt.Options{})
			if got := r.host(benchHost()).fire(0, append(test.context, make([]byte, 64)...)).carried(); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestSubprograms(t *testing.T) {
	r := newRig(t, `fn twice($a : int64) : int64 { return $a * 2; }
		fn larger($a : int64, $b : int64) : int64 { if ($a > $b) { return $a; } return twice($b); }
		BEGIN { print(twice(21)); print(larger(5, 3)); print(larger(3, 5)) }`, bt.Options{})
	if got := r.fire(0, nil).carried(); got != "42 5 10" {
		t.Errorf("got %q", got)
	}
	// What a function keeps in memory is not what its caller keeps there.
	r = newRig(t, `fn same($p : uint64) : int64 { let $z; $s = str($p); $t = (str($p), 5); if ($s == "taskname") { return $t.1; } return $z; }
		BEGIN { $a = "text of the caller"; $b = ($a, str(0x1080), same(0x1010)); print($b); print((str(0x1080), same(0x1080))); print($a) }`, bt.Options{})
	want := "text of the caller,longname,5 longname,0 text of the caller"
	if got := r.host(benchHost()).fire(0, nil).carried(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWildcardsMakeProgramsOfTheirOwn(t *testing.T) {
	script := compiled(t, `tracepoint:syscalls:sys_* { @[probe] = count(); }`, bt.Options{})
	if len(script.Probes) != 2 {
		t.Errorf("there are %d programs, want one for each of 2 targets without cookies", len(script.Probes))
	}
	if names := strings.Join(script.ProbeNames, " "); names != "tracepoint:syscalls:sys_enter_openat tracepoint:syscalls:sys_exit_openat" {
		t.Errorf("the names are %q", names)
	}
	script = compiled(t, `tracepoint:syscalls:sys_* { @ = count(); }`, bt.Options{})
	if len(script.Probes) != 1 || len(script.Probes[0].Targets) != 2 {
		t.Errorf("a program that is the same for all targets is not shared")
	}
}

func TestFilters(t *testing.T) {
	tests := []struct {
		options bt.Options
		want    string
	}{
		{bt.Options{PID: 7}, "=1,0"}, {bt.Options{PID: 8}, "=0,0"},
		{bt.Options{Cgroups: []uint64{1, 9}}, "=1,0"}, {bt.Options{Cgroups: []uint64{1}}, "=0,0"}, {bt.Options{Cgroups: []uint64{}}, "=0,0"},
	}
	for _, test := range tests {
		r := newRig(t, `kprobe:vfs_read { @ = count(); }`, test.options)
		h := benchHost()
		h.CPU = 0
		if got := r.host(h).fire(0, registers()).contents("@"); got != test.want {
			t.Errorf("with %+v @ holds %q, want %q", test.options, got, test.want)
		}
	}
}

func TestAggregates(t *testing.T) {
	r := newRig(t, `tracepoint:raw_syscalls:sys_exit {
		@count[args.id] = count(); @sum = sum(args.ret); @min = min(args.ret); @max = max(args.ret); @avg = avg(args.ret);
		@stats[1] = stats(args.ret); @hist = hist(args.ret); @fine = hist(args.ret, 2); @lhist = lhist(args.ret, 0, 100, 10) }`, bt.Options{})
	for i, ret := range []int64{-5, 0, 1, 7, 100, 1023} {
		r.host(vm.Host{CPU: i % 2})
		r.fire(0, words(0, uint64(i%3), uint64(ret)))
	}
	for name, want := range map[string]string{
		"@count": "0=1,1 1=1,1 2=1,1", "@sum": "=96,1030", "@min": "=-5/1,0/1", "@max": "=100/1,1023/1",
		"@avg": "=96/3,1030/3", "@stats": "1=96/3,1030/3", "@hist": "=0:1;2:1;8:1,1:1;4:1;11:1",
		"@fine": "=0:1;2:1;23:1,1:1;8:1;36:1", "@lhist": "=0:1;1:1;11:1,1:2;11:1",
	} {
		if got := r.contents(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
}

// Buckets of hist() are told by HistogramBucket: a number is in the one that counts it.
func TestHistogramBuckets(t *testing.T) {
	for bits := range 6 {
		r := newRig(t, `tracepoint:raw_syscalls:sys_exit { @ = hist(args.ret, `+string(rune('0'+bits))+`) }`, bt.Options{})
		for _, n := range []int64{-7, 0, 1, 2, 3, 31, 32, 33, 1000, 1 << 40, 1<<62 + 5, 1<<63 - 1} {
			r.direct, r.code = r.machine(), r.machine()
			contents := r.fire(0, words(0, 0, uint64(n))).contents("@")
			index := 0
			for _, c := range strings.TrimLeft(contents, "=,") {
				if c < '0' || c > '9' {
					break
				}
				index = index*10 + int(c-'0')
			}
			if low, high := bt.HistogramBucket(index, bits); n < low || n >= high && high != 1<<63-1 {
				t.Errorf("%d with %d bits is counted in bucket %d, which is from %d to %d", n, bits, index, low, high)
			}
		}
	}
}

func TestFullMapIsCounted(t *testing.T) {
	limits := bt.DefaultLimits()
	limits.MaxMapKeys = 2
	for _, assignment := range []string{"@[$i] = 1", "@[$i] = count()", "@[$i] = hist(1)", "@[$i]++", "@[$i] += 2", `@[$i] = "x"`} {
		r := newRig(t, `BEGIN { for ($i : 0..5) { `+assignment+`; } }`, bt.Options{Limits: limits})
		if got := r.fire(0, nil).counted("full"); got != 3 {
			t.Errorf("of 5 keys for 2 places by %s, %d are counted", assignment, got)
		}
	}
}

func TestFullRingIsCounted(t *testing.T) {
	limits := bt.DefaultLimits()
	limits.RingBytes = 4096
	r := newRig(t, `BEGIN { for ($i : 0..100) { printf("%s", "a text of some length, so that the ring is soon full of them"); } }`, bt.Options{Limits: limits})
	r.fire(0, nil)
	lost := r.counted("loss")
	if n := len(r.output()); lost == 0 || n+lost != 100 {
		t.Errorf("of 100 records %d arrived and %d were counted as lost", n, lost)
	}
}
