// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"strings"
	"testing"
)

// planted is what must not come out, however it is surrounded.
const planted = "Zq7planted7qZ"

// FuzzArgs: whatever the arguments, their number stays, what is outside of marks stays,
// the trigger hides nothing, and a secret behind an option is gone.
func FuzzArgs(f *testing.F) {
	for _, line := range benchLines {
		f.Add([]byte(strings.ReplaceAll(line, "|", "\x00")), `\d{4}`)
	}
	for _, seed := range []string{
		"sh\x00-c\x00mysql -p\"a b\" 'x", "curl\x00-sSu\x00u:p\x00http://u:p@h", "{\"password\":\"\\\"", "-----BEGIN SSH2 PRIVATE KEY-----", "\x00\x00--token\x00", "bearer ", "a\\", "xfreerdp /p:",
	} {
		f.Add([]byte(seed), "")
	}
	defaults, err := Compile(Options{Defaults: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, args []byte, pattern string) {
		check(t, defaults, args)
		if own, err := Compile(Options{Args: []string{pattern}}); err == nil {
			check(t, own, args)
		}
		for _, behind := range []string{"\x00--password=" + planted, "\x00--password\x00" + planted + "\x00x"} {
			if clean, _ := defaults.Args(append(bytes.Clone(args), behind...)); bytes.Contains(clean, []byte(planted)) && !bytes.Contains(args, []byte(planted)) {
				t.Errorf("%q behind %q: it is in %q", behind, args, clean)
			}
		}
		for _, behind := range []string{"--password=" + planted, "Authorization: Bearer " + planted, "https://user:" + planted + "@host/"} {
			// A line of its own: what stands before it may have begun a quotation.
			text := append(append(bytes.Clone(args), '\n'), behind...)
			if clean := defaults.Text(text); bytes.Contains(clean, []byte(planted)) && !bytes.Contains(args, []byte(planted)) {
				t.Errorf("%q in a line behind %q: it is in %q", behind, args, clean)
			} else if bytes.Count(clean, []byte{'\n'}) != bytes.Count(text, []byte{'\n'}) {
				t.Errorf("%q has become %q", text, clean)
			}
		}
	})
}

func check(t *testing.T, r *Rules, args []byte) {
	t.Helper()
	clean, n := r.Args(args)
	if bytes.Count(clean, []byte{0}) != bytes.Count(args, []byte{0}) || n > bytes.Count(args, []byte{0})+1 {
		t.Errorf("%q has become %q, %d", args, clean, n)
	}
	if n == 0 && !bytes.Equal(clean, args) || n > 0 && !keeps(clean, args) {
		t.Errorf("%q has become %q, %d", args, clean, n)
	}
	s := scan{rules: r, text: args}
	s.arguments()
	if full, _ := s.replace(); !bytes.Equal(full, clean) {
		t.Errorf("%q: past the trigger it becomes %q, else %q", args, full, clean)
	}
}

// keeps tells whether the parts between marks are in a text in that order.
func keeps(clean, args []byte) bool {
	for i, part := range bytes.Split(clean, []byte(Mark)) {
		at := bytes.Index(args, part)
		if at < 0 || i == 0 && at != 0 {
			return false
		}
		args = args[at+len(part):]
	}
	return true
}
