// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

func TestProblems(t *testing.T) {
	tests := []struct{ script, want, hint string }{
		{`tracepoint:syscalls:sys_enter_opnat { exit() }`, `there is no probe tracepoint:syscalls:sys_enter_opnat`, `did you mean tracepoint:syscalls:sys_enter_openat?`},
		{`tracepoint:syscalls:sys_enter_openat { print(args.filenam) }`, `has no field filenam`, `did you mean filename?`},
		{`BEGIN { pritnf("x") }`, `there is no function pritnf`, `did you mean printf?`},
		{`BEGIN { $count = 1; print($conut) }`, `$conut is read before anything was assigned`, `did you mean $count?`},
		{`BEGIN { print(com) }`, `com is neither a builtin nor`, `did you mean comm?`},
		{`BEGIN { @start = 1; print(@strat[1]) }`, `map @strat is used but nothing is ever assigned`, `did you mean @start?`},
		{`BEGIN { @x = 1; @x = "a" }`, `@x holds int64 since line 1, column 9: it cannot hold string[2] too`, ``},
		{`BEGIN { @x[1] = 1; @x["a"] = 1 }`, `@x has the key int64 since line 1, column 9: it cannot have string[2]`, ``},
		{`BEGIN { @x[1] = 1; @x = 1 }`, `it must be given`, ``},
		{`BEGIN { @x = 1; @x[1] = 1 }`, `@x has no key since`, ``},
		{`BEGIN { $x = 1; $x = "a" }`, `$x is int64 since line 1, column 9: it cannot become string[2]`, ``},
		{`BEGIN { @x = count(); @x = 5 }`, `@x holds count_t since line 1: it cannot hold int64 too`, ``},
		{`BEGIN { @x = count(); @x++ }`, `++ and -- count integers`, ``},
		{`BEGIN { $x = count() }`, `a value of type count_t cannot be used here`, ``},
		{`BEGIN { count() }`, `count() must be assigned to a map`, ``},
		{`BEGIN { print(1 / 0) }`, `division by zero`, ``},
		{`BEGIN { $x = 5; $x %= 0 }`, `division by zero`, ``},
		{`BEGIN { pid = 3 }`, `pid cannot be assigned to`, ``},
		{`BEGIN { system("ls") }`, `system() changes the system: it needs --unsafe`, ``},
		{`kprobe:vfs_read { override(1) }`, `needs --unsafe`, ``},
		{`BEGIN { print(retval) }`, `retval is not there in a probe of type begin`, ``},
		{`BEGIN { print(args) }`, `args is not there in`, ``},
		{`kprobe:vfs_read { print(arg9) }`, `only arg0 to arg5 are in registers`, `write sarg3 for one on the stack`},
		{`usdt:/bin/sh:prov:point { print(arg7) }`, `has 3 arguments, so no arg7`, ``},
		{`BEGIN { printf("%d", "a") }`, `%d does not print string[2]`, ``},
		{`BEGIN { printf("%d %d", 1) }`, `the format wants 2 values, and there are 1`, ``},
		{`BEGIN { printf("%y", 1) }`, `there is no conversion %y`, ``},
		{`BEGIN { str() }`, `str() takes 1 to 2 arguments, not 0`, `string str(char *data[, int length])`},
		{`BEGIN { break }`, `only inside a loop`, ``},
		{`BEGIN { unroll (200) { print(1) } }`, `1 to 100 times`, ``},
		{`BEGIN { unroll (100) { unroll (100) { print(1) } } }`, `makes 10000 copies; at most 2000 are possible`, ``},
		{`config = { max_strlen = 16000 } BEGIN { printf("%s %s %s", str(1), str(2), str(3)) }`, `what is printed here takes 48008 bytes`, ``},
		{`config = { max_strlen = 16000 } BEGIN { $a = str(1); $b = str(2); print($a == $b) }`, `the texts and tuples of this probe take`, ``},
		{`BEGIN { @ = lhist(1, 10, 5, 1) }`, `goes from a smaller value to a larger one`, ``},
		{`BEGIN { @ = lhist(1, 0, 100000, 1) }`, `at most 1000 are possible`, ``},
		{`BEGIN { @ = hist(1, 9) }`, `from 0 to 5`, ``},
		{`BEGIN { print("a" + 1) }`, `+ works on integers, not on string[2]`, ``},
		{`BEGIN { print("a" == 1) }`, `string[2] and int64 cannot be compared`, ``},
		{`BEGIN { $x = (struct nothing *)1 }`, `there is no type struct nothing`, ``},
		{`BEGIN { $x = (struct task_struct *)1; print($x->pidd) }`, `struct task_struct has no field pidd`, `did you mean pid?`},
		{`BEGIN { print(kaddr("nosuch")) }`, `the kernel has no symbol nosuch`, ``},
		{`BEGIN { signal("NOSUCH") }`, `it needs --unsafe`, ``},
		{`fn f($a : int64) : int64 { return f($a) } BEGIN { print(f(1)) }`, `function f calls itself`, ``},
		{`fn f($a : int64) : int64 { return g($a) } fn g($a : int64) : int64 { return f($a) } BEGIN { print(f(1)) }`, `calls itself`, ``},
		{`fn f($a : int64) : int64 { return "x" } BEGIN { print(f(1)) }`, `function f returns int64, not string[2]`, ``},
		{`fn f($a : int64) : int64 { return $a } BEGIN { print(f("x")) }`, `argument 1 of f() must be int64, not string[2]`, ``},
		{`config = { max_map_key = 5 } BEGIN { exit() }`, `there is no setting max_map_key`, `did you mean max_map_keys?`},
		{`config = { max_map_keys = 0 } BEGIN { exit() }`, `must be a number from 1`, ``},
		{`let @x = stack(5); BEGIN { @x[1] = 1 }`, `there is no kind of map stack`, ``},
		{`BEGIN { let $a = 1; let $a = 2 }`, `$a is declared twice`, ``},
		{`BEGIN { for ($x : @m) { print($x) } @m = 1 }`, `@m has no keys to go over`, ``},
		{`BEGIN { print(pton("1.2.3")) }`, `"1.2.3" is no address`, ``},
		{`BEGIN { $t = (1, 2); print($t.2) }`, `the tuple has 2 elements, so there is no .2`, ``},
		{`BEGIN { print(1 ? 1 : "a") }`, `must have one type`, ``},
		{`struct x { nosuch_t a; } BEGIN { exit() }`, `there is no type nosuch_t`, ``},
	}
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			program, errs := syntax.Parse(test.script, nil)
			if len(errs) > 0 {
				t.Fatal(errs.Err())
			}
			script, problems := bt.Compile(program, &fakeHost{}, bt.Options{})
			if script != nil || len(problems) == 0 {
				t.Fatal("the script is taken")
			}
			for _, p := range problems {
				if strings.Contains(p.Text, test.want) && p.Hint == test.hint && p.Pos.Line == 1 {
					return
				}
			}
			t.Errorf("got %+v, want %q with the hint %q", problems, test.want, test.hint)
		})
	}
}

// All that is wrong is told at once, in the order of the text, each once.
func TestProblemsAreToldTogether(t *testing.T) {
	program, _ := syntax.Parse("BEGIN { print(nosuch);\n print(1 / 0);\n @a = 1; @a = \"x\"; }", nil)
	_, problems := bt.Compile(program, &fakeHost{}, bt.Options{})
	if len(problems) != 3 {
		t.Fatalf("got %d problems, want 3: %v", len(problems), problems)
	}
	for i, p := range problems {
		if p.Pos.Line != i+1 {
			t.Errorf("problem %d is in line %d", i, p.Pos.Line)
		}
	}
}

// A map's type is found wherever it is assigned, also behind its use.
func TestTypesFlowBackwards(t *testing.T) {
	compiled(t, `interval:s:1 { for ($kv : @b) { print($kv.1); } $x = @c; print($x.1) }
		BEGIN { @b["k"] = @a; @c = (1, @a) } END { @a = "text" }`, bt.Options{})
}

func TestMissingProbesOfSeveralAreWarnings(t *testing.T) {
	script := compiled(t, `kprobe:vfs_read, kprobe:nosuch { exit() }`, bt.Options{})
	if len(script.Warnings) != 1 || !strings.Contains(script.Warnings[0].Text, "nosuch") {
		t.Errorf("the warnings are %v", script.Warnings)
	}
}

// The environment goes before the script, and the script before what is usual.
func TestSettings(t *testing.T) {
	script := compiled(t, `config = { max_map_keys = 7; max_strlen = 32; str_trunc_trailer = "~" } BEGIN { exit() }`,
		bt.Options{Settings: map[string]string{"max_strlen": "64", "stack_mode": "raw", "max_cat_bytes": "0x10"}})
	l := script.Limits
	if l.MaxMapKeys != 7 || l.MaxStrlen != 64 || l.StackMode != "raw" || l.MaxCatBytes != 16 || l.CutMark != "~" || l.MaxProbes != bt.DefaultLimits().MaxProbes {
		t.Errorf("the limits are %+v", l)
	}
	program, _ := syntax.Parse(`BEGIN { exit() }`, nil)
	if _, problems := bt.Compile(program, &fakeHost{}, bt.Options{Settings: map[string]string{"max_strlen": "many"}}); len(problems) != 1 {
		t.Errorf("max_strlen of many: %v", problems)
	}
}

// An enumeration of the script comes with its names; a place that other integers reach too
// has none.
func TestEnumerations(t *testing.T) {
	script := compiled(t, `enum color { RED = 3, BLUE }; BEGIN { @a = BLUE; @b[RED] = 1; @b[RED + 1] = 2; printf("%s", RED) }`, bt.Options{})
	if names := script.Enums["enum color"]; names[3] != "RED" || names[4] != "BLUE" {
		t.Errorf("the names are %v", script.Enums)
	}
	for _, m := range script.Maps {
		switch {
		case m.Name == "@a" && m.Value.Name != "enum color":
			t.Errorf("@a holds %v", m.Value)
		case m.Name == "@b" && m.Key.Name != "":
			t.Errorf("the key of @b is %v", m.Key)
		}
	}
}

// A map that only a probe without a place would fill is empty, and none that is not known.
func TestMapOfMissingProbe(t *testing.T) {
	script := compiled(t, `kprobe:nosuch { @a[pid] = count(); @b++ } END { print(@a); clear(@b); for ($kv : @a) { print($kv.1) } print(@b) }`, bt.Options{})
	if len(script.Probes) != 1 || len(script.Warnings) != 1 {
		t.Errorf("%d probes, warnings %v", len(script.Probes), script.Warnings)
	}
	program, _ := syntax.Parse(`kprobe:nosuch { @a = 1 } END { print(@c) }`, nil)
	if script, _ := bt.Compile(program, &fakeHost{}, bt.Options{}); script != nil {
		t.Error("@c, which nothing assigns to, is taken")
	}
}
