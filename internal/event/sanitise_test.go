// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"ls -l /tmp", "ls -l /tmp"},
		{"größe 日本語 🐝", "größe 日本語 🐝"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"a\nb\tc\rd", `a\nb\tc\rd`},
		{"\x7f", `\x7f`},
		{"\u009b31m", `\u009b31m`},
		{"abc\u202edef", `abc\u202edef`},
		{"zero\u200bwidth", `zero\u200bwidth`},
		{"\u2028", `\u2028`},
		{"bad\xff\xfebytes", `bad\xff\xfebytes`},
		{"cut \xe2\x82", `cut \xe2\x82`},
		{"real \uFFFD", "real \uFFFD"},
		{"\U000e0041", `\U000e0041`},
		{"nul\x00", `nul\x00`},
	} {
		if got := Printable(c.in); got != c.want {
			t.Errorf("Printable(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"ls", "\x1b]0;title\x07", "a\u202eb", "\xff\xfe", "\u0085", "e\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Printable(%q) is not UTF-8: %q", s, got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !strconv.IsPrint(r) }); i >= 0 {
			t.Fatalf("Printable(%q) = %q is not printable at %d", s, got, i)
		}
		if again := Printable(got); again != got {
			t.Fatalf("not stable: %q, then %q", got, again)
		}
	})
}
