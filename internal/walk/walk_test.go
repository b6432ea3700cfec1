// SPDX-License-Identifier: Apache-2.0

package walk

import (
	"testing"
	"unicode/utf8"
)

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		walk  string
		flags uint16
		want  string
	}{
		{"", Complete, "/"},
		{"", Truncated, ""},
		{"", 0, ""},
		{"leaf\x00", Complete, "/leaf"},
		{"leaf\x00mid\x00top\x00", Complete, "/top/mid/leaf"},
		{"leaf\x00mid\x00", Truncated, "mid/leaf"},
		{"memfd:x\x00", Unreachable | Pseudo, "/memfd:x"},
		{"\xff\x00d\x00", Complete, "/d/\uFFFD"},
	} {
		if got := Join([]byte(c.walk), c.flags); got != c.want {
			t.Errorf("%q, %d: %q, want %q", c.walk, c.flags, got, c.want)
		}
	}
}

func FuzzJoin(f *testing.F) {
	f.Add([]byte("leaf\x00top\x00"), uint16(1))
	f.Fuzz(func(t *testing.T, walk []byte, flags uint16) {
		path := Join(walk, flags)
		if !utf8.ValidString(path) {
			t.Errorf("%q is no text", path)
		}
		if path != "" && flags&Truncated == 0 && path[0] != '/' {
			t.Errorf("%q has no root", path)
		}
	})
}
