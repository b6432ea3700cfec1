// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"BEGIN", `1:6: found the end of the script, expected "{", a predicate between slashes, or a comma and another probe`},
		{"BEGIN {", `1:8: found the end of the script, expected "}"; the block begins in line 1`},
		{"BEGIN { print(1) print(2) }", `1:18: found "print", expected ";" or "}"`},
		{"BEGIN { print(1 2) }", `1:17: found "2", expected ")" or ","`},
		{"BEGIN { $x = ; }", `1:14: found ";", expected an expression`},
		{"BEGIN { fro ($i : 0..3) { } }", `1:17: found ":", expected ")" or ","`},
		{"BEGIN { retrun 1; }", `1:16: found "1", expected ";" or "}"; did you mean "return"?`},
		{"kprob:f { }", `1:1: found "kprob", which is no type of probe; did you mean "kprobe"?`},
		{"xyzzy { }", `1:1: found "xyzzy", which is no type of probe`},
		{"tracepoint:sched { }", `1:1: found tracepoint with 1 parts behind it, expected tracepoint:CATEGORY:EVENT`},
		{"i:sec:1 { }", `1:1: found unit "sec", expected hz, s, ms or us`},
		{"i:s:0 { }", `1:1: found "0", expected a number above 0`},
		{"kr:f+1 { }", `1:1: found an offset in "f+1"; only the entry of a function can have one`},
		{"BEGIN { print(\"abc); }\nEND { }", `1:15: found a string without its closing quote`},
		{"BEGIN { print(\"\\q\"); }", `1:16: found an escape that the language does not have: use \n \t \r \" \\ \ooo or \xhh`},
		{"BEGIN { /* }", `1:9: found a comment that does not end`},
		{"BEGIN { 1 = 2; }", `1:9: found an assignment to an expression; only a variable or a map can be given a value; did you mean "=="?`},
		{"BEGIN { $t.0 = 2; }", `1:9: found an assignment to a part of a value; only a variable or a map can be given one; make a new tuple or record and assign that`},
		{"BEGIN { pid.x++; }", `1:14: found "++" or "--" on an expression; only a variable or a map can be stepped`},
		{"BEGIN { $x = 12ab; }", `1:14: read integer 12ab: unknown suffix "ab"`},
		{"BEGIN { $0 }", `1:9: found "$0"; parameters are counted from $1`},
		{"BEGIN { print(§); }", `1:15: found the character "\u00a7", which the language does not use`},
		{"BEGIN { else { } }", `1:9: found "else" without an if in front of it`},
		{"BEGIN { let @m; }", `1:13: found "@m", expected a variable; maps are declared in front of the probes`},
		{"BEGIN { (a=1, a=2); }", `1:15: found a second field "a" in one record`},
		{"BEGIN { for ($x : 1) { } }", `1:20: found ")", expected ".." and the end of a range, or a map in front of it`},
		{"struct a; BEGIN { }", `1:9: found ";", expected a definition in braces`},
		{"config = { a = }", `1:16: found "}", expected a number, a string or a word`},
		{"BEGIN { $x = 1;\n $y = = 2; print(3;\n $z = 4 }\nkprob:f { } END { @[ }", `2:7: found "=", expected an expression
2:19: found ";", expected ")" or ","
4:1: found "kprob", which is no type of probe; did you mean "kprobe"?
4:22: found "}", expected an expression`},
	} {
		_, errors := Parse(c.text, nil)
		var lines []string
		for _, err := range errors {
			lines = append(lines, err.Error())
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%q gives\n%s\nexpected\n%s", c.text, got, c.want)
		}
	}
}

func TestWhatIsRightIsKeptBesideErrors(t *testing.T) {
	program, errors := Parse("BEGIN { $x = 1; $y = ); $z = 3; }\nbad { }\nEND { exit(); }", nil)
	if len(errors) != 2 {
		t.Errorf("%d errors: %v", len(errors), errors.Err())
	}
	if len(program.Probes) != 2 || len(program.Probes[0].Body.Stmts) != 2 {
		t.Errorf("read as\n%s", Print(program))
	}
}

func TestRender(t *testing.T) {
	text := "BEGIN {\n\tprintt(1, \"\x1b[2J\" 2);\n}\n"
	_, errors := Parse(text, nil)
	if len(errors) != 1 {
		t.Fatal(errors.Err())
	}
	want := "a.bt:2:19: found \"2\", expected \")\" or \",\"\n" +
		"     printt(1, \"?[2J\" 2);\n" +
		"                      ^\n"
	if got := errors[0].Render("a.bt", text); got != want {
		t.Errorf("rendered as\n%s\nexpected\n%s", got, want)
	}
	long := strings.Repeat("1 + ", 5000) + ";"
	_, errors = Parse("BEGIN { "+long+" }", nil)
	if len(errors) == 0 {
		t.Fatal("no error")
	}
	if got := errors[0].Render("a.bt", "BEGIN { "+long+" }"); len(got) > 500 || !strings.Contains(got, "^") {
		t.Errorf("rendered as %d bytes\n%s", len(got), got)
	}
}

// TestHostileText proves that no text takes long or overflows the stack.
func TestHostileText(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, MaxText/4/len(unit)) }
	defines := ""
	for i := range 40 {
		defines += fmt.Sprintf("#define d%d d%d d%d\n", i, i+1, i+1)
	}
	empty := "#define e0 \n"
	for i := range 40 {
		empty += fmt.Sprintf("#define e%d %s\n", i+1, strings.Repeat(fmt.Sprintf("e%d ", i), 60))
	}
	for name, text := range map[string]string{
		"too long":          strings.Repeat(" ", MaxText+1),
		"parentheses":       "BEGIN { " + fill("("),
		"braces":            "BEGIN { " + fill("{"),
		"blocks":            fill("BEGIN {"),
		"brackets":          "BEGIN { " + fill("@a["),
		"minus":             "BEGIN { " + fill("-"),
		"sum":               "BEGIN { $x = " + fill("1+"),
		"fields":            "BEGIN { $x" + fill(".a"),
		"if":                "BEGIN { " + fill("if(1){}else "),
		"ternary":           "BEGIN { $x = " + fill("1?"),
		"ternary else":      "BEGIN { $x = " + fill("1?2:"),
		"casts":             "BEGIN { $x = " + fill("(int8*)"),
		"stars":             "BEGIN { $x = (foo" + fill("*"),
		"definitions":       fill("struct a ("),
		"definitions apart": fill("struct a {(}") + ")",
		"late parenthesis":  fill("struct a {( }") + strings.Repeat(")", 7),
		"probes":            fill("k:f,"),
		"bad probes":        fill("x "),
		"bad statements":    "BEGIN { " + fill(") ;"),
		"quotes":            "BEGIN { " + fill(`"`),
		"comments":          fill("/*"),
		"slashes":           "BEGIN " + fill("/"),
		"colons":            "uprobe" + fill(":"),
		"arguments":         fill("k:$1"),
		"defines":           defines + "BEGIN { " + strings.Repeat("d0;", 20_000) + "}",
		"empty defines":     empty + "BEGIN { " + strings.Repeat("e40;", 20_000) + "}",
		"many defines":      fill("#define a a b\n"),
		"lambda":            "BEGIN { " + fill("{1;{") + "}",
		"nothing":           fill("\x00"),
	} {
		start := time.Now()
		program, errors := Parse(text, []string{strings.Repeat(":", 1000)})
		Print(program)
		for _, err := range errors {
			err.Render("x", text)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s takes %v", name, took)
		}
		if len(errors) == 0 && name != "comments" && name != "many defines" && !strings.Contains(name, "defines") {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWordLength(t *testing.T) {
	line := `kprobe:vfs_*/pid/{ @x[1] = "a b" + $long; }`
	if got := WordLength("unroll (f(1) + 2) { }", 1); got != 17 {
		t.Errorf("a call: %d", got)
	}
	for column, want := range map[int]int{1: 17, 20: 5, 28: 5, 36: 5, 19: 0, 0: 0, 99: 0} {
		if got := WordLength(line, column); got != want {
			t.Errorf("column %d: %d, expected %d", column, got, want)
		}
	}
}
