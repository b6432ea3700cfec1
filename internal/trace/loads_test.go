// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// corners are scripts at the edge of what the verifier takes, and of one that is refused by
// the compiler or the kernel what is said.
var corners = []struct{ script, want string }{
	// A record is reserved only when nothing can end the program any more.
	{`BEGIN { printf("%s", ({ if (pid) { return; } "a" })); }`, ""},
	{`BEGIN { printf("%s", ({ for ($i : 0..pid) { @ = $i; } "a" })); }`, ""},
	{`BEGIN { @a[1] = 2; printf("%s", ({ for ($i : @a) { @ = $i.0; } "a" })); }`, ""},
	{`BEGIN { printf("%s", ({ printf("%d", 5); "a" })); }`, ""},
	{`fn f($a : int64) : int64 { printf("%d", $a); return 1; } BEGIN { printf("%s", (f(1) ? "a" : "b")) }`, ""},
	{`BEGIN { @[({ if (pid) { exit(); } 1 })] = 2 }`, ""},
	// Loops.
	{`BEGIN { for ($r : 0..0) { @ = $r } for ($r : 0..(pid & 0)) { @ = $r } }`, ""},
	{`BEGIN { $i = 0; while (1) { $i++; if ($i > 100) { break } } print($i) }`, ""},
	{`BEGIN { $i = 0; while ($i < 10000) { $i++; } print($i) }`, ""},
	{`BEGIN { for ($i : 0..100) { for ($j : 0..100) { @[$i] += $j; } } }`, ""},
	{`BEGIN { @a[1] = 1; for ($kv : @a) { for ($j : @a) { for ($k : 0..pid) { @b[$k] = $kv.0 + $j.1; if ($k > 3) { return } } } } }`, ""},
	{`BEGIN { $i = 0; while (pid) { $i++; } print($i) }`, "gives up"},
	// Functions that call others, and what they cannot do.
	{`fn f($a : int64) : int64 { return g($a); } fn g($a : int64) : int64 { return h($a); } fn h($a : int64) : int64 { return $a; } BEGIN { print(f(1)) }`, ""},
	{`fn f($a : int64) : int64 { @[kstack] = count(); return 1; } BEGIN { print(f(1)) }`, "stack cannot be taken in a function"},
	// What a helper that fails has to say, while a record is reserved.
	{`BEGIN { @s[1] = "x"; printf("%s %s %d", str(8), @s[pid], curtask->real_parent->pid); for ($kv : @s) { print((str(8), @s[$kv.0], delete(@s, 2))); } }`, ""},
	// Much memory.
	{`config = { max_strlen = 4000 } BEGIN { $a = str(uptr(1)); $b = str(uptr(2)); @[$a, $b] = str(uptr(3)); print(@[$a, $b] == $b); }`, ""},
	{`rawtracepoint:sched_switch { @[args.prev == args.next, args.prev.mm == 0, args.prev.comm == "x"] = count(); }`, ""},
}

func TestCorners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs scripts")
	}
	for _, c := range corners {
		for _, options := range []bt.Options{{}, {HelperErrors: true}} {
			t.Run(fmt.Sprintf("%s %v", c.script, options.HelperErrors), func(t *testing.T) { corner(t, c.script, c.want, options) })
		}
	}
}

func corner(t *testing.T, text, want string, options bt.Options) {
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatal(errs.Err())
	}
	script, problems := bt.Compile(program, theHost, options)
	got := ""
	if script == nil {
		got = fmt.Sprint(problems)
	} else if s, err := Start(theHost, script, Options{}); err != nil {
		got = err.Error()
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
