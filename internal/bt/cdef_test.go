// SPDX-License-Identifier: Apache-2.0

package bt_test

import (
	"strings"
	"testing"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
	"github.com/skep-io/skep/internal/compile"
)

// Sizes and offsets are those that gcc gives on amd64.
func TestDefinitionsInC(t *testing.T) {
	tests := []struct{ definition, script, want string }{
		{`struct Foo { int x; char c; }`, `print(sizeof(struct Foo)); print(offsetof(struct Foo, c))`, `8 4`},
		{`struct A { int32_t a; int32_t b; char c[28] };`, `print(sizeof(struct A)); $a = (struct A *)0x1008; print($a->a); print($a->c)`, `36 123 taskname`},
		{`struct B { int y[2][2]; }`, `$b = (struct B *)0x1060; print($b->y[1][0]); print($b->y[0][1])`, `30 20`},
		{`struct Foo { struct { int m[1] } y; struct { int n; } z; union { long l; char c; }; }`,
			`print(sizeof(struct Foo)); print(offsetof(struct Foo, z.n)); print(offsetof(struct Foo, l))`, `16 4 8`},
		{`struct Bits { unsigned int a:4, b:8, c:3, d:1, e:16; }`,
			`$p = (struct Bits *)0x1060; print(sizeof(struct Bits)); print($p->a); $q = (struct Bits *)0x1000; print($q->a); print($q->b)`, `4 10 2 16`},
		{`struct Mixed { short a:4, b:8, c:3, d:1; int e:9, f:15, g:1, h:2, i:5; }`, `print(sizeof(struct Mixed))`, `8`},
		{`enum Color { NONE, BLUE = 5, PINK, LAST = 1 << 3 };`, `print(BLUE); print(PINK); print(LAST); print((enum Color)5)`, `5 6 8 5`},
		{`struct P { const char *name; void (*call)(int, int); unsigned long long u; unsigned char *q };`,
			`print(sizeof(struct P)); print(offsetof(struct P, u))`, `32 16`},
		{"struct N { /* a comment */ struct N *next; // another\n u8 one; pid_t two; }", `print(sizeof(struct N)); print(offsetof(struct N, two))`, `16 12`},
		{`struct foo { int x; char y; int z; } __attribute__((packed));`, `print(sizeof(struct foo)); print(offsetof(struct foo, z))`, `9 5`},
		{`struct foo { int x; char y; int z; } /**/ __attribute__ /**/ ((packed)) /**/`, `print(sizeof(struct foo))`, `9`},
		{`struct front { char a; long b; } __attribute__((__packed__)) struct al { char c; } __attribute__((aligned(8)))`,
			`print(offsetof(struct front, b)); print(sizeof(struct al))`, `1 8`},
		{`struct foo { int x; char y; int z; } __attribute__((packed)) struct al { char c; } __attribute__((aligned(8)))
			struct in { char a; struct foo f; char b; struct al l; }`, `print(offsetof(struct in, f)); print(offsetof(struct in, l))`, `1 16`},
		{`struct __attribute__((packed)) both { int x; char y; } __attribute__((aligned(4)))`, `print(sizeof(struct both))`, `8`},
		{`struct inner { char a; struct { char b; int c; } __attribute__((packed)) d; int e; }`, `print(offsetof(struct inner, d.c)); print(offsetof(struct inner, e))`, `2 8`},
		{`struct pb { int a:4, b:12; char c:1; } __attribute__((packed))`, `print(sizeof(struct pb))`, `3`},
		{`enum { LINE = 64 }; struct sh { char c; } __attribute__((aligned(1<<3))) struct li { char c; } __attribute__((packed, aligned(LINE)))
			struct most { char c; } __attribute__((aligned, packed)) struct hex { char c; } __attribute__((aligned(0x20u)))`,
			`print(sizeof(struct sh)); print(sizeof(struct li)); print(sizeof(struct most)); print(sizeof(struct hex))`, `8 64 16 32`},
		{`union U { int a; char b[6]; }`, `print(sizeof(union U))`, `8`},
	}
	for _, test := range tests {
		t.Run(test.definition, func(t *testing.T) {
			r := newRig(t, test.definition+"\nBEGIN { "+test.script+" }", bt.Options{})
			if got := r.host(benchHost()).fire(0, nil).carried(); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// TestAlignmentUnknown: where the members are is not guessed.
func TestAlignmentUnknown(t *testing.T) {
	for written, want := range map[string]string{
		"sizeof(long)": `aligned() takes one number here: found "sizeof", expected a number`,
		"2 * 4":        `aligned() takes one number here: found "*", expected ")"`,
		"":             `aligned() takes one number here: found ")", expected a number`,
		"3":            "aligned(3): it is a power of 2 up to 4096",
		"0":            "aligned(0): it is a power of 2 up to 4096",
		"1 << 40":      "aligned(1099511627776): it is a power of 2 up to 4096",
		"-8":           "aligned(-8): it is a power of 2 up to 4096",
	} {
		for _, text := range []string{
			"\nstruct a { int x; } __attribute__((aligned(" + written + ")))\nBEGIN { print(sizeof(struct a)); }",
			"\nstruct __attribute__((aligned(" + written + "))) a { int x; }\nBEGIN { print(sizeof(struct a)); }",
		} {
			program, errs := syntax.Parse(text, nil)
			if len(errs) > 0 {
				t.Fatal(text, errs)
			}
			_, problems := bt.Compile(program, &fakeHost{}, bt.Options{})
			if len(problems) == 0 || problems[0].Pos != (compile.Pos{Line: 2, Column: 1}) || !strings.HasSuffix(problems[0].Text, want) {
				t.Errorf("%s: %v, want %q", text, problems, want)
			}
		}
	}
}
