// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

const macros = `macro seven() { 7 }
macro more(x) { x + 1 }
macro twice(x) { x; x; }
macro grow($a, @b) { let $step = 2; $a += $step; @b += $step; }
macro nested(x) { more(more(x)) }
macro as(t, x) { (t*)x }
macro sum(x) { let $x = x; $x + $x }
`

func TestMacros(t *testing.T) {
	for text, want := range map[string]string{
		`print(seven()); print(seven)`:                                            "7 7",
		`print(more(1 + 1)); print(nested(10)); print(more(more(0)) * 5)`:         "3 12 10",
		`$x = 5; print(sum($x)); print(sum(sum(1)))`:                              "10 4",
		`$n = 1; $step = 40; @m = 10; grow($n, @m); print($n + @m); print($step)`: "15 40",
		`$n = 0; twice(++$n); print($n); twice({ printf("%s", "hi") })`:           "2 hi hi",
		`print(*as(typeof(uint16), 0x1000))`:                                      "258",
	} {
		r := newRig(t, macros+"BEGIN { "+text+" }", bt.Options{})
		if got := strings.Join(strings.Fields(r.host(benchHost()).fire(0, nil).carried()), " "); got != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
}

// TestBuiltinsAsCalls: the values of builtins are the same, however they are written; a macro of
// the script's own goes before, if it takes as many arguments.
func TestBuiltinsAsCalls(t *testing.T) {
	for text, want := range map[string]string{
		`print(pid() == pid && tid() == __builtin_tid && cpu() == cpu && ncpus() == ncpus)`: "1",
		`print(comm() == comm); print(probetype); print(probetype()); print(usermode())`:    "1 special special 1",
		`print(ncpus() == 2 && probe() == "BEGIN")`:                                         "1",
		`macro cpu() { "hi" } BEGIN { print(cpu()); print(cpu); }`:                          "hi hi",
		`macro cpu(x) { x } BEGIN { print(cpu("hi")); print(cpu() == __builtin_cpu); }`:     "hi 1",
		`fn two() : int64 { return 2; } BEGIN { print(two()); }`:                            "2",
		`print(is_err((void *)-4095)); print(is_err(-4096)); print(is_err(0))`:              "1 0 0",
	} {
		if !strings.Contains(text, "BEGIN {") {
			text = "BEGIN { " + text + " }"
		}
		r := newRig(t, text, bt.Options{})
		if got := strings.Join(strings.Fields(r.host(benchHost()).fire(0, nil).carried()), " "); got != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
}

// TestOwnWords: what a script defines itself goes before words that the language got later.
func TestOwnWords(t *testing.T) {
	for text, want := range map[string]string{
		`fn ppid() : int64 { return 7; } BEGIN { print(ppid()); }`:                                                            "7",
		`fn is_err($x : int64) : int64 { return 7; } BEGIN { print(is_err(1)); }`:                                             "7",
		`enum e { ppid = 3, usermode, probetype }; BEGIN { print((ppid, usermode, probetype)); print(__builtin_probetype); }`: "3,4,5 special",
	} {
		r := newRig(t, text, bt.Options{})
		if got := strings.TrimSpace(r.host(benchHost()).fire(0, nil).carried()); got != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
}

// TestPlacesOfOwnMacros: the text of the language's macros is not the script's, so what is told of
// them is told at their call.
func TestPlacesOfOwnMacros(t *testing.T) {
	for text, want := range map[string]compile.Pos{
		"\nBEGIN { print(ppid(0)); }":                              {Line: 2, Column: 15},
		"\nBEGIN { print(ppid(\"x\")); }":                          {Line: 2, Column: 15},
		"\nBEGIN { print(ppid); }":                                 {Line: 2, Column: 15},
		"macro mine(x) { ppid(x) }\n\n\nBEGIN { print(mine(0)); }": {Line: 1, Column: 17},
		"BEGIN { print(is_err(\n*(uint64 *)8)); }":                 {Line: 2, Column: 1},
	} {
		program, errs := syntax.Parse(text, nil)
		if len(errs) > 0 {
			t.Fatal(text, errs)
		}
		script, problems := bt.Compile(program, &fakeHost{}, bt.Options{HelperErrors: true})
		told := map[compile.Pos]bool{}
		for _, p := range problems {
			told[p.Pos] = true
		}
		if script != nil {
			for _, a := range script.Actions {
				if a.Kind == bt.HelperError {
					told[a.Pos] = true
				}
			}
		}
		if len(told) != 1 || !told[want] {
			t.Errorf("%s: told %v, want %v", text, told, want)
		}
	}
}

func TestWrongMacros(t *testing.T) {
	for text, want := range map[string]string{
		`macro f($x) { $x++ } BEGIN { f(1) }`:                            "macro f wants a variable here",
		`macro f(@x) { @x++ } BEGIN { @a[1] = 1; f(@a[1]) }`:             "macro f wants a map here",
		`macro f() { @x++ } BEGIN { @x = 1; f() }`:                       "which is none of its parameters",
		`macro f() { f() } BEGIN { f() }`:                                "leads to itself",
		`macro f(x) { g(x) } macro g(x) { f(x) } BEGIN { f(1) }`:         "leads to itself",
		`macro f(x) { f(x) + f(x) } BEGIN { print(f(1)) }`:               "leads to itself",
		`macro f(x) { x } BEGIN { f() }`:                                 "macro f takes 1 argument, not 0",
		`BEGIN { print(cpu(1)) }`:                                        "there is no function cpu",
		`macro cpu(x) { x } BEGIN { print(cpu(1, 2)) }`:                  "macro cpu takes 1 argument, not 2",
		`macro f() { } BEGIN { print(f()) }`:                             "macro f has no value",
		`macro f() { 1 } macro f() { 2 } BEGIN { print(f()) }`:           "macro f is defined twice",
		`macro f(x) { let $a = x; $a } BEGIN { print(f(2)); print($a) }`: "$a is read before",
	} {
		program, errs := syntax.Parse(text, nil)
		if len(errs) > 0 {
			t.Fatal(text, errs)
		}
		script, problems := bt.Compile(program, &fakeHost{}, bt.Options{})
		if script != nil || len(problems) == 0 || !strings.Contains(problems[0].Text, want) {
			t.Errorf("%s: %v, expected %q", text, problems, want)
		}
	}
}
