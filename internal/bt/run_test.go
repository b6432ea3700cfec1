// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/vm"
)

// printed are scripts of one BEGIN that print values, and what they print.
var printed = []struct{ script, want string }{
	{`print(1 + 2 * 3)`, `7`},
	{`print(10 / 3); print(-10 / 3); print(-10 % 3)`, `3 -3 -1`},
	{`print(1 << 4 | 3 ^ 1 & 7)`, `18`},
	{`print(-8 >> 1); print((uint64)16 >> 2)`, `-4 4`},
	{`print(1 < 2); print(-1 < 1); print(2 >= 3); print(!5); print(~0)`, `1 1 0 0 -1`},
	{`print(1 && 0); print(1 || 0); print(0 || 0)`, `0 1 0`},
	{`print(1 ? 10 : 20); print(0 ? "a" : "bcd")`, `10 bcd`},
	{`print((uint8)300); print((int8)200); print((uint16)65537); print((int32)4294967295)`, `44 -56 1 -1`},
	{`$a = 5; $a += 3; $a *= 2; $a--; print($a); print($a++); print(++$a)`, `15 15 17`},
	{`let $a; print($a); let $b : uint8 = 7; $b = 300; print($b)`, `0 44`},
	{`$s = "hello"; print($s); $s = "x"; print($s)`, `hello x`},
	{`$s = "a"; $s = "longer than before"; print($s)`, `longer than before`},
	{`$t = (1, "two", (3, 4)); print($t); print($t.1); print($t.2.1)`, `1,two,3,4 two 4`},
	{`if (1 == 1) { print("yes") } else { print("no") }`, `yes`},
	{`if (0) { print(1) } else if (2 > 1) { print(2) } else { print(3) }`, `2`},
	{`$i = 0; while ($i < 5) { $i++; if ($i == 2) { continue } if ($i == 4) { break } print($i) }`, `1 3`},
	{`unroll (3) { print(7) }`, `7 7 7`},
	{`$n = 1; unroll (4) { $n = $n * 2; } print($n)`, `16`},
	{`for ($i : 0..3) { print($i) }`, `0 1 2`},
	{`for ($i : 0..10) { if ($i == 2) { continue } if ($i > 3) { break } print($i) }`, `0 1 3`},
	{`$n = 0; $to = 300; for ($i : 5..$to) { $n += $i; if ($i == 7) { continue } if ($i == 9) { break } $n++; } print($n)`, `38`},
	{`@to = 3; for ($i : 0..@to) { for ($j : 0..@to) { if ($j == 1) { continue } printf("%d", $i * 10 + $j) } } return; print(9)`, `0 2 10 12 20 22`},
	{`for ($i : 0..1000) { if ($i == 3) { exit(); } } print(9)`, `0`},
	{`print(5 ?: 6); print(0 ?: 6)`, `5 6`},
	{`@c = count(); @c = count(); delete(@c); printf("%d", @c); @p = percpu_kaddr("jiffies_64", 99); printf("%d", @p)`, `0 0`},
	{`@a[1] = 10; @a[2] = 20; $sum = 0; for ($kv : @a) { $sum += $kv.0 * $kv.1 } print($sum)`, `50`},
	{`@a[1] = 10; for ($kv : @a) { print($kv); return } print(5)`, `1,10`},
	{`@a[1] = 5; for ($kv : @a) { print($kv.1); exit(); } @b = 1`, `5 0`},
	{`@a["x"] = "y"; for ($kv : @a) { $s = $kv.1; print($s) }`, `y`},
	{`@a[1] = 1; @a[2] = 2; print(len(@a)); delete(@a, 1); print(len(@a)); print(has_key(@a, 1)); print(has_key(@a, 2))`, `2 1 0 1`},
	{`@a[1, "k"] = 5; print(@a[1, "k"]); print(@a[(2, "k")]); delete(@a[1, "k"]); print(@a[1, "k"])`, `5 0 0`},
	{`@a[1] = 1; @s = 1; print(delete(@a, 2)); if (delete(@a, 1)) { print("gone") } print(delete(@s)); print(delete(@s)); delete(@a, 5);`, `0 gone 1 0`},
	{`@s = "text"; print(@s == "text"); print(@s != "text"); print(@s == "tex")`, `1 0 0`},
	{`@x++; @x++; print(@x++); print(++@x); @x -= 2; @x *= 5; $x = @x; print($x)`, `2 4 10`},
	{`@c = count(); @c = count(); print((int64)@c); if (@c == 2) { print("two") }`, `2 two`},
	{`@m = max(3); @m = max(9); @m = max(4); print((int64)@m); @n = min(3); @n = min(-9); printf("%d", @n)`, `9 -9`},
	{`@v = avg(4); @v = avg(8); print((int64)@v); @s = sum(4); @s = sum(-5); printf("%d", @s)`, `6 -1`},
	{`print(strncmp("hello", "help", 3)); print(strncmp("hello", "help", 4)); $s = "help"; print(strncmp($s, "hello", 3))`, `0 1 0`},
	{`$s = "haystack"; print(strcontains($s, "st")); print(strcontains($s, "sk")); print(strcontains($s, ""))`, `1 0 1`},
	{`$s = "ab\0cd"; print(strcontains($s, "cd")); print($s == "ab"); print(buf("a\0b", 3))`, `0 1 610062`},
	{`$s = "haystack"; $n = "ack"; print(strcontains($s, $n)); $m = "acks"; print(strcontains($s, $m))`, `1 0`},
	{`$s = str(0x1010); print(strcontains($s, "name")); print(strcontains($s, "namex")); print(strcontains($s, "")); print(strcontains($s, str(0x1080)))`, `1 0 1 0`},
	{`$n = "kn"; print(strcontains(str(0x1010), $n)); $m = "me"; print(strcontains(str(0x1010), $m)); $o = "nk"; print(strcontains(str(0x1010), $o))`, `1 1 0`},
	{`$a = "same"; $b = "same"; $c = "samex"; print($a == $b); print($a == $c); print($a != $c)`, `1 0 1`},
	{`print(bswap((uint16)0x1234)); print(bswap((uint32)0x12345678)); print(bswap((uint8)7))`, `13330 2018915346 7`},
	{`print(sizeof(uint32)); print(sizeof(struct task_struct)); print(offsetof(struct task_struct, in.b)); print(sizeof(1))`, `4 256 72 8`},
	{`$t = ((int8)1, 2, (int8)3); print(sizeof($t)); print(sizeof(((int32)1, (int16)2, "abc"))); print(sizeof((1, ((int8)2, (int8)3))))`, `24 12 16`},
	{`print(GREEN); print(O_CREAT | 1)`, `1 65`},
	{`print(pid); print(tid); print(uid); print(gid); print(cpu); print(cgroup); print(username)`, `7 8 1000 100 1 9 1000`},
	{`print(comm); if (comm == "bench") { print("me") }`, `bench me`},
	{`print(strftime("%H", nsecs)); print(elapsed); print(nsecs(monotonic))`, `5000 5000 5000`},
	{`print(ntop(0x0100007f)); print(ntop(10, pton("::1"))); print(pton("1.2.3.4"))`,
		`2:7f000001000000000000000000000000 10:00000000000000000000000000000001 01020304`},
	{`print(probe); print(__builtin_pid); print(ncpus); errorf("%d", 5)`, `0 7 2 5`},
	{`$a = (uint8[8])12345; print($a[0]); print($a[1]); print((uint64)$a); $i = 1; print($a[$i])`, `57 48 12345 48`},
	{`print(kaddr("jiffies_64")); print(cgroupid("/a")); print(ksym(5)); print(usym(6)); print(strerror(2))`, `18446744071578845184 77 5 6/7 2`},
	{`print(str($1)); print($1); print($#)`, ` 0 0`},
	{`$x = 5; { let $x = 6; print($x) } print($x)`, `6 5`},
	{`$x = ({ let $y = 2; $y * 3 }); print($x)`, `6`},
	{`printf("%s %d %x", "a", 1, 2); time("%H"); cat("/x/%d", 5)`, `a|1|2  5`},
	{`@a = (1, 2); print(@a.1); $t = @a; print($t.0)`, `2 1`},
	{`@h = lhist(5, 0, 10, 2); @h = lhist(-1, 0, 10, 2); @h = lhist(10, 0, 10, 2); print(1)`, `1`},
	{`1 ? print(1) : print(2); exit(); print(9)`, `1 0`},
	{`@ = 5; if (@ == 5) { exit(3) } print(4)`, `3`},
	{`clear(@a); zero(@a); @a[1] = 1; print(@a); print(@a, 5, 2)`, `  0|0 5|2`},
	{`$p = (struct task_struct *)0x1000; print($p->pid); print($p->comm); print($p->hidden); print($p->in.b)`, `123 taskname 99 -6`},
	{`$p = (struct task_struct *)0x1000; print($p->low); print($p->high); print(str($p->name)); print($p->numbers[2])`, `5 29 longname 30`},
	{`$p = (struct task_struct *)0x1000; print($p->parent->pid); $i = 1; print($p->numbers[$i]); print(*(uint16 *)0x1000)`, `123 20 258`},
	{`$p = (struct task_struct *)0x1000; @p = $p; print(@p->tgid); $in = $p->in; print($in.a); print(buf($p->numbers)); print(buf(0x1000, 2))`,
		`456 -5 0a000000140000001e00000028000000 0201`},
	{`let $p: struct task_struct *; $p = (struct task_struct *)0x1000; print($p->pid)`, `123`},
	{`$p = (uint32 *)0x1060; print(*($p + 1)); print($p[2]); $p++; print(*$p)`, `20 30 20`},
	{`print(str(0x1010)); print(str(0x1010, 3)); $n = 4; print(str(0x1010, $n)); print(str(0x1010) == "taskname")`, `taskname ta tas 1`},
	{`print(*(struct task_struct *)0x1000); print(1)`, `-`},
	{`print((1, (int8)-1, "x")); print((a=1, b=2).b)`, `1,-1,x 2`},
	{`$a = 1; $b = 0; print($a / $b); print($a % $b)`, `0 1`},
	{`@x[1] += 5; @x[1] += 5; @x[2] |= 6; print(@x[1]); print(@x[2])`, `10 6`},
	{`print(macaddr(0x1060)); join(0x2000)`, `601000000000 2|taskname|longname||||||||||||||`},
}

// memory is a task_struct at 0x1000, a text behind it and an array of pointers to texts.
func memory() vm.Segments {
	task := make([]byte, 256)
	copy(task, []byte{2, 1})
	binary.LittleEndian.PutUint32(task[8:], 123)
	binary.LittleEndian.PutUint32(task[12:], 456)
	copy(task[16:], "taskname")
	binary.LittleEndian.PutUint64(task[32:], 0x1000)
	binary.LittleEndian.PutUint64(task[48:], 99)
	binary.LittleEndian.PutUint32(task[64:], 0xfffffffb)
	binary.LittleEndian.PutUint64(task[72:], 0xfffffffffffffffa)
	task[80] = 5 | 0x1d<<3
	binary.LittleEndian.PutUint64(task[88:], 0x1080)
	for i := range 4 {
		binary.LittleEndian.PutUint32(task[96+4*i:], uint32(10*(i+1)))
	}
	copy(task[128:], "longname")
	return vm.Segments{0x1000: task, 0x2000: words(0x1010, 0x1080, 0)}
}

func benchHost() vm.Host {
	return vm.Host{
		Comm: "bench", PidTgid: 7<<32 | 8, UidGid: 100<<32 | 1000, CPU: 1, Cgroup: 9,
		Time: func(vm.Clock) uint64 { return 5000 }, Kernel: memory(), User: memory(),
		Stack: func(bool) []uint64 { return []uint64{1, 2, 3} },
	}
}

func TestSignals(t *testing.T) {
	r := newRig(t, `kprobe:vfs_read { signal("KILL"); signal("sigusr1"); signal(15); $n = 3; signal($n) }`, bt.Options{Unsafe: true})
	r.host(benchHost()).fire(0, registers())
	if got := fmt.Sprint(r.code.Host.Signals); got != "[9 10 15 3]" {
		t.Errorf("signals %s were sent", got)
	}
}

// What an old kernel cannot do is done without, or refused with the reason.
func TestOldKernel(t *testing.T) {
	const loop, forEach, perCPU, bootTime = 181, 164, 195, 125
	old := &fakeHost{lacks: map[int64]bool{loop: true, forEach: true, perCPU: true, bootTime: true}}
	for text, want := range map[string]string{
		`BEGIN { print(nsecs); print(elapsed); for ($i : 0..pid) { print($i) } }`: "",
		`BEGIN { @a[1] = 1; for ($kv : @a) { print($kv) } }`:                      "for_each_map_elem",
		`BEGIN { @a = count(); $x = @a; }`:                                        "map_lookup_percpu_elem",
		`BEGIN { $s = "haystack"; print(strcontains(str(1), $s)) }`:               "",
	} {
		program, _ := syntax.Parse("config = { max_strlen = 20 } "+text, nil)
		script, problems := bt.Compile(program, old, bt.Options{})
		if want == "" && script == nil || want != "" && (script != nil || !strings.Contains(problems[0].Text, want)) {
			t.Errorf("%s: got %v, want %q", text, problems, want)
		}
	}
}

// A predicate may need memory as well.
func TestPredicateReadsText(t *testing.T) {
	r := newRig(t, `BEGIN /str(0x1010) == "taskname" && strcontains(str(0x1080), "name")/ { print(str(0x1010)); $s = str(0x1080); print($s) }`, bt.Options{})
	if got := r.host(benchHost()).fire(0, nil).carried(); got != "taskname longname" {
		t.Errorf("got %q", got)
	}
}

// What a function keeps in memory for a while does not touch what its caller does, wherever
// it is called.
func TestFunctionsMemory(t *testing.T) {
	r := newRig(t, `fn f($n : int64) : int64 { if (str(0x1010) == "taskname") { return $n; } return 0; }
		BEGIN { print(f(1)); @[str(0x1080), f(2)] = 3; print((str(0x1080), f(4))); }`, bt.Options{})
	if got := r.host(benchHost()).fire(0, nil).carried(); got != "1 longname,4" {
		t.Errorf("got %q", got)
	}
	if got := r.contents("@"); got != "longname,2=3" {
		t.Errorf("got %q", got)
	}
}

func TestPrinted(t *testing.T) {
	for _, test := range printed {
		t.Run(test.script, func(t *testing.T) {
			r := newRig(t, "BEGIN { "+test.script+" }", bt.Options{})
			r.host(benchHost())
			got := r.fire(0, nil).carried()
			if test.want != "-" && got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
