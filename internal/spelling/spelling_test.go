// SPDX-License-Identifier: Apache-2.0

package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"uid", "pid", "comm", "container", "parent_exec_id", "printf", "print", "count", "kstack", "ustack"}
	for word, want := range map[string]string{
		"uidd": "uid", "com": "comm", "contianer": "container", "parent_exe_id": "parent_exec_id", "wholly_different": "",
		"pritnf": "printf", "cuont": "count", "kstak": "kstack", "zzz": "", "": "", "Count": "count", "print": "printf",
		strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("nearest to %q is %q, expected %q", word, got, want)
		}
	}
}

// slow is the distance by its definition.
func slow(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	change := 1
	if a[len(a)-1] == b[len(b)-1] {
		change = 0
	}
	a1, b1 := a[:len(a)-1], b[:len(b)-1]
	d := min(slow(a1, b)+1, slow(a, b1)+1, slow(a1, b1)+change)
	if len(a1) > 0 && len(b1) > 0 && a[len(a)-1] == b1[len(b1)-1] && b[len(b)-1] == a1[len(a1)-1] {
		d = min(d, slow(a1[:len(a1)-1], b1[:len(b1)-1])+1)
	}
	return d
}

// FuzzDistance compares with the definition, whatever the limit.
func FuzzDistance(f *testing.F) {
	f.Add("ab", "ba", uint8(1))
	f.Add("abcd", "badc", uint8(2))
	f.Add("kitten", "sitting", uint8(2))
	f.Fuzz(func(t *testing.T, a, b string, most uint8) {
		a, b = a[:min(len(a), 6)], b[:min(len(b), 6)]
		got, want, limit := Distance(a, b, int(most%8)), slow(a, b), int(most%8)
		if got != want && (want <= limit || got <= limit) {
			t.Errorf("%q to %q is %d, by the definition %d; of interest up to %d", a, b, got, want, limit)
		}
	})
}
