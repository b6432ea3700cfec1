// SPDX-License-Identifier: Apache-2.0

package render

import (
	"math"
	"strings"
	"testing"
	"time"
)

func number(n int64) Value    { return Value{Kind: Integer, Int: n} }
func unsigned(n uint64) Value { return Value{Kind: Unsigned, Int: int64(n)} }
func text(s string) Value     { return Value{Kind: Text, Text: s} }
func tuple(v ...Value) Value  { return Value{Kind: Tuple, Elems: v} }
func key(v ...Value) []Value  { return v }

// TestMaps: what bpftrace printed when the map was as it is here.
func TestMaps(t *testing.T) {
	kernel := Value{Kind: Stack, Frames: []Frame{{Address: 1, Name: "bpf_prog", Offset: 1859}, {Address: 2, Name: "__bpf_prog_test_run_raw_tp", Offset: 106}}}
	perf := Value{Kind: Stack, Form: AsPerf, Frames: []Frame{
		{Address: 0x7f242511a6b9, Name: "syscall", Offset: 25, Module: "/lib/libc.so.6", User: true}, {Address: 0x7f242fe13104, User: true}}}
	inKernel := Value{Kind: Stack, Form: AsPerf, Frames: []Frame{{Address: 0xffffffff81f5d84a, Name: "__bpf_prog_test_run_raw_tp", Offset: 106}}}
	for _, c := range []struct {
		what string
		m    Map
		want string
	}{
		{"by value", Map{Name: "@a", Entries: []Entry{{key(number(1)), number(2)}, {key(number(5)), number(1)}, {key(number(0)), number(7)}}}, "@a[5]: 1\n@a[1]: 2\n@a[0]: 7\n"},
		{"negative", Map{Name: "@s", Entries: []Entry{{key(number(1)), number(2)}, {key(number(2)), number(-2)}}}, "@s[2]: -2\n@s[1]: 2\n"},
		{"unsigned", Map{Name: "@u", Entries: []Entry{{key(number(1)), unsigned(1 << 63)}, {key(number(-1)), unsigned(2)}}}, "@u[-1]: 2\n@u[1]: 9223372036854775808\n"},
		{"several keys", Map{Name: "@b", Entries: []Entry{{key(text("x"), number(1)), number(3)}, {key(text("aa"), number(-2)), number(1)}}}, "@b[aa, -2]: 1\n@b[x, 1]: 3\n"},
		{"strings by key", Map{Name: "@k", Entries: []Entry{{key(number(1), number(2)), text("x")}, {key(number(1), number(1)), text("y")}, {key(number(0), number(5)), text("z")}}},
			"@k[0, 5]: z\n@k[1, 1]: y\n@k[1, 2]: x\n"},
		{"without a key", Map{Name: "@c", Entries: []Entry{{nil, text("hello")}}}, "@c: hello\n"},
		{"tuple", Map{Name: "@d", Entries: []Entry{{nil, tuple(number(1), text("abc"), tuple(number(2), number(3)))}}}, "@d: (1, abc, (2, 3))\n"},
		{"empty", Map{Name: "@e"}, "\n"},
		{"top", Map{Name: "@a", Top: 2, Entries: []Entry{{key(number(1)), number(10)}, {key(number(2)), number(30)}, {key(number(3)), number(20)}}}, "@a[3]: 20\n@a[2]: 30\n"},
		{"divisor", Map{Name: "@a", Divisor: 10, Entries: []Entry{{key(number(1)), number(10)}, {key(number(2)), number(35)}}}, "@a[1]: 1\n@a[2]: 3\n"},
		{"averages", Map{Name: "@g", Entries: []Entry{{key(number(1)), Value{Kind: Average, Int: 3}}, {key(number(2)), Value{Kind: Average, Int: 4}}, {key(number(3)), Value{Kind: Average, Int: 1}}}},
			"@g[3]: 1\n@g[1]: 3\n@g[2]: 4\n\n"},
		{"stats", Map{Name: "@h", Entries: []Entry{{key(number(1)), Value{Kind: Stats, Int: -4, Count: 1}}, {key(number(2)), Value{Kind: Stats, Int: 7, Count: 2}}}},
			"@h[1]: count 1, average -4, total -4\n@h[2]: count 2, average 3, total 7\n\n"},
		{"stack as key", Map{Name: "@k", Entries: []Entry{{key(kernel, text("sh")), number(1)}}},
			"@k[\n        bpf_prog+1859\n        __bpf_prog_test_run_raw_tp+106\n, sh]: 1\n"},
		{"stack as value", Map{Name: "@u", Entries: []Entry{{nil, perf}}}, "@u: \n\t7f242511a6b9 syscall+25 (/lib/libc.so.6)\n\t7f242fe13104 0x7f242fe13104 ([unknown])\n\n"},
		{"kernel as perf", Map{Name: "@p", Entries: []Entry{{key(inKernel), number(1)}}}, "@p[\n\tffffffff81f5d84a __bpf_prog_test_run_raw_tp+106\n]: 1\n"},
	} {
		c.m.Sort()
		if got := c.m.String(); got != c.want {
			t.Errorf("%s: got\n%q, want\n%q", c.what, got, c.want)
		}
	}
}

// TestHistograms compares with lines that bpftrace printed.
func TestHistograms(t *testing.T) {
	bar := func(n int) string { return " |" + strings.Repeat("@", n) + strings.Repeat(" ", 52-n) + "|\n" }
	power := func(buckets ...Bucket) Value { return Value{Kind: Histogram, Buckets: buckets} }
	linear := func(buckets ...Bucket) Value { return Value{Kind: Histogram, Linear: true, Buckets: buckets} }
	entry := func(v Value) Map { return Map{Name: "@h", Entries: []Entry{{nil, v}}} }
	for _, c := range []struct {
		what string
		m    Map
		want string
	}{
		{"powers", entry(power(Bucket{High: 0, Below: true, Count: 1}, Bucket{Low: 0, High: 1, Count: 2}, Bucket{Low: 1, High: 2}, Bucket{Low: 2, High: 4, Count: 1},
			Bucket{Low: 512, High: 1024, Count: 1}, Bucket{Low: 1024, High: 2048, Count: 1}, Bucket{Low: 1 << 40, High: 1 << 41, Count: 1})),
			"@h:\n(..., 0)               1" + bar(26) + "[0]                    2" + bar(52) + "[1]                    0" + bar(0) + "[2, 4)                 1" + bar(26) +
				"[512, 1K)              1" + bar(26) + "[1K, 2K)               1" + bar(26) + "[1T, 2T)               1" + bar(26) + "\n"},
		{"parts of powers", entry(power(Bucket{Low: 5, High: 6, Count: 1}, Bucket{Low: 8, High: 10}, Bucket{Low: 896, High: 1024}, Bucket{Low: 1008, High: 1024},
			Bucket{Low: 1 << 20, High: 1<<20 + 1<<18}, Bucket{Low: 1 << 50, High: 1<<50 + 1<<47}, Bucket{Low: 3 << 61, High: math.MaxInt64}, Bucket{Low: 1 << 62, High: math.MaxInt64})),
			"@h:\n[5]                    1" + bar(52) + "[8, 10)                0" + bar(0) + "[896, 1024)            0" + bar(0) + "[1008, 1024)           0" + bar(0) +
				"[1024K, 1280K)         0" + bar(0) + "[1024T, 1152T)         0" + bar(0) + "[6E, 8E)               0" + bar(0) + "[4E, 8E)               0" + bar(0) + "\n"},
		{"linear", entry(linear(Bucket{High: 10, Below: true, Count: 1}, Bucket{Low: 10, High: 13, Count: 1}, Bucket{Low: 2048, High: 3072}, Bucket{Low: 5000, High: 6000},
			Bucket{Low: 0, High: 1 << 20}, Bucket{Low: 3, High: 4}, Bucket{Low: 10240000, Above: true, Count: 2})),
			"@h:\n(..., 10)              1" + bar(26) + "[10, 13)               1" + bar(26) + "[2K, 3K)               0" + bar(0) + "[5000, 6000)           0" + bar(0) +
				"[0, 1M)                0" + bar(0) + "[3, 4)                 0" + bar(0) + "[10000K, ...)          2" + bar(52) + "\n"},
		{"divisor", Map{Name: "@h", Divisor: 1000, Entries: []Entry{{nil, power(Bucket{Low: 64, High: 128, Count: 1}, Bucket{Low: 128, High: 256, Count: 2})}}},
			"@h:\n[64, 128)              0" + bar(26) + "[128, 256)             0" + bar(52) + "\n"},
		{"emptied", entry(power()), "@h:\n\n"},
		{"by total", Map{Name: "@h", Entries: []Entry{{key(number(1)), power(Bucket{Low: 4, High: 8, Count: 2})}, {key(number(2), text("b")), power(Bucket{Low: 4, High: 8, Count: 1})}}},
			"@h[2, b]:\n[4, 8)                 1" + bar(52) + "\n@h[1]:\n[4, 8)                 2" + bar(52) + "\n"},
		{"small", entry(power(Bucket{Low: 1, High: 2, Count: 1}, Bucket{Low: 2, High: 4, Count: 70}, Bucket{Low: 4, High: 8, Count: 3})),
			"@h:\n[1]                    1" + bar(0) + "[2, 4)                70" + bar(52) + "[4, 8)                 3" + bar(2) + "\n"},
	} {
		c.m.Sort()
		if got := c.m.String(); got != c.want {
			t.Errorf("%s: got\n%s, want\n%s", c.what, got, c.want)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{unsigned(1<<64 - 1), "18446744073709551615"},
		{Value{Kind: Bool, Int: 1}, "true"},
		{Value{Kind: Pointer}, "0x0"},
		{Value{Kind: Enum, Int: 3, Text: "A"}, "A"},
		{Value{Kind: Enum, Int: 3}, "3"},
		{Value{Kind: Buffer, Text: "a b\\\"%\t~\x7f\xe4"}, `a b\"%\x09~\x7f\xe4`},
		{Value{Kind: Symbol, Frames: []Frame{{Address: 0x4d2, User: true}}}, "0x4d2"},
		{Value{Kind: Symbol, Frames: []Frame{{}}}, "0"},
		{Value{Kind: Symbol, Frames: []Frame{{Address: 0x4d2, Name: "_text", Offset: 4}}}, "_text"},
		{Value{Kind: Stack, Form: Addresses, Frames: []Frame{{Address: 0x7f24, Name: "x"}, {}}}, "\n7f24\n0\n"},
		{Value{Kind: Stack, Frames: []Frame{{Address: 0x7f24, Name: "x"}, {}, {Address: 16}}}, "\n        x+0\n        0\n        0x10\n"},
		{Value{Kind: Record, Names: []string{"x", "s", "a", "in", "n"}, Elems: []Value{number(0), text(""), {Kind: Array, Elems: []Value{number(0), number(1), number(2)}},
			{Kind: Record, Names: []string{"q"}, Elems: []Value{number(0)}}, {Kind: Pointer}}},
			"{ .x = 0, .s = , .a = [0,1,2], .in = { .q = 0 }, .n = 0x0 }"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.v, got, c.want)
		}
	}
}

func TestPrintf(t *testing.T) {
	buffer := Value{Kind: Buffer, Text: "a\x01\xffz"}
	for _, c := range []struct {
		format string
		args   []Value
		want   string
	}{
		{"%d %u %x|", []Value{number(-1), number(-1), number(255)}, "-1 4294967295 ff|"},
		{"%hhd %hd %ld %lld %zu %hx %hhx %jd", []Value{number(300), number(70000), number(1), number(2), number(3), number(-1), number(-1), number(5)}, "44 4464 1 2 3 ffff ff 5"},
		{"%d %u %x %lx %llx %ld", []Value{number(1 << 40), number(1 << 40), number(1 << 40), number(1 << 40), number(1 << 40), number(1 << 40)}, "0 0 0 10000000000 10000000000 1099511627776"},
		{"%u %x %d %llu %o %p", []Value{number(-1), number(-1), number(-1), number(-1), number(-1), number(-1)}, "4294967295 ffffffff -1 18446744073709551615 37777777777 0xffffffffffffffff"},
		{"%r|%rx|%rh", []Value{buffer, buffer, buffer}, `a\x01\xffz|\x61\x01\xff\x7a|61 01 ff 7a`},
		{"%X|%08x|%-8x|%5d|%-5d|%05d|%.3d|", []Value{number(255), number(5), number(5), number(5), number(5), number(5), number(5)}, "FF|00000005|5       |    5|5    |00005|005|"},
		{"%s|%5s|%-5s|%d", []Value{{Kind: Bool, Int: 1}, text("a"), text("b"), {Kind: Bool, Int: 1}}, "true|    a|b    |1"},
		{"%.2s|%5.2s|%-5.1s|", []Value{text("abc"), text("abc"), text("abc")}, "ab|   ab|a    |"},
		{"%c%c", []Value{number(65), number(66 + 256)}, "AB"},
		{"%p [%20s]", []Value{number(0), {Kind: Symbol, Frames: []Frame{{Address: 1, Name: "_text"}}}}, "(nil) [               _text]"},
		{"%p", []Value{number(-2130706432)}, "0xffffffff81000000"},
		{"100%% %q %", nil, "100% %q %"},
		{"%*d", []Value{number(5)}, "%*d"},
		{"%s %5s|", []Value{{Kind: Enum, Int: 3, Text: "A"}, {Kind: Enum, Int: 4, Text: "B"}}, "A     B|"},
		{"%s %d", nil, " 0"},
		{"%+d|% d|%+05d|%#x|%#o|%#X", []Value{number(5), number(5), number(5), number(5), number(5), number(5)}, "+5| 5|+0005|0x5|05|0X5"},
	} {
		if got := Printf(c.format, c.args); got != c.want {
			t.Errorf("%q: got %q, want %q", c.format, got, c.want)
		}
	}
}

// TestStrftime compares with date(1) of coreutils for what both know.
func TestStrftime(t *testing.T) {
	at := time.Date(2027, time.January, 3, 4, 5, 6, 123456789, time.UTC) // a Sunday of 2026's last week
	for _, c := range []struct{ format, want string }{
		{"%Y-%m-%d %H:%M:%S", "2027-01-03 04:05:06"},
		{"%a %A %b %B %e %j %y %C", "Sun Sunday Jan January  3 003 27 20"},
		{"%I %p %k %l", "04 AM  4  4"},
		{"%G %g %V %U %W %u %w", "2026 26 53 01 00 7 0"},
		{"%s %T %R %D %F%n%t%%", "1798949106 04:05:06 04:05 01/03/27 2027-01-03\n\t%"},
		{"%q %", "%q %"},
		{"%z %Z", "+0000 UTC"},
		{"%f", "123456"},
	} {
		if got := Strftime(c.format, at, true); got != c.want {
			t.Errorf("%q: got %q, want %q", c.format, got, c.want)
		}
	}
	if got := Strftime("%d %f", at, false); got != "03 %f" { // as time() does
		t.Errorf("got %q", got)
	}
}

// FuzzPrintf: any format ends, and shows no more than it may.
func FuzzPrintf(f *testing.F) {
	for _, seed := range []string{"%d", "%-10s|%5.3d%%", "%*d", "%lld%hhx%rh%", "%999999999d", "%0-+ #5.x", "%.s%.999999999d"} {
		f.Add(seed, int64(-1), "text")
	}
	f.Fuzz(func(t *testing.T, format string, n int64, s string) {
		args := []Value{number(n), text(s), {Kind: Buffer, Text: s}}
		if got := Printf(format, args); len(got) > (len(format)+1)*(maxWidth+8*len(s)+32) {
			t.Errorf("%d bytes", len(got))
		}
		Strftime(format, time.Unix(n%(1<<40), 0), true)
	})
}
