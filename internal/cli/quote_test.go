// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/skep-io/skep/internal/event"
)

var quoteCases = []string{"", "plain", "a b", "it's", `back\slash`, "$HOME `id` $(id)", "*?[a]~#!", "new\nline", "tab\t", hostile,
	"caf\u00e9", "\u202eevil", "zero\u200bwidth", "\xff\xfe", "\x1b1", "\x01\x39", "-n", "--flag=x y", "\ufffd", "a\x7fb", "\u00ad9", "=x", "日本 語", "日本;",
	"*", "~root", "a;b", "{a,b}", "a&", "#a", "!!", "a|b", "<a", "a^b"}

// A shell is asked what it makes of what we wrote.
func TestQuotedReadsBackInAShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash: the shell that reads the quoting back")
	}
	out, err := exec.Command(bash, "-c", "printf '%s\\0' "+commandLine(quoteCases)).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(got) != len(quoteCases) {
		t.Fatalf("bash read %d words of %d", len(got), len(quoteCases))
	}
	for i, want := range quoteCases {
		if got[i] != want {
			t.Errorf("%q was quoted %s, which bash reads as %q", want, appendQuoted(nil, want), got[i])
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, c := range quoteCases {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		quoted := string(appendQuoted(nil, arg))
		if !utf8.ValidString(quoted) || event.Printable(quoted) != quoted {
			t.Fatalf("%q was quoted %q, which is not printable", arg, quoted)
		}
		if back := unquote(t, quoted); back != arg {
			t.Fatalf("%q was quoted %s, which reads back %q", arg, quoted, back)
		}
	})
}

// unquote reads one word as a POSIX shell does: $'...' by itself, or a row of '...', \' and
// characters that mean nothing to a shell.
func unquote(t *testing.T, word string) string {
	if inner, ok := strings.CutPrefix(word, "$'"); ok {
		return unescape(t, strings.TrimSuffix(inner, "'"))
	}
	var out strings.Builder
	for rest := word; rest != ""; {
		switch {
		case rest[0] == '\'':
			inside, after, closed := strings.Cut(rest[1:], "'")
			if !closed {
				t.Fatalf("%s: a quotation does not end", word)
			}
			out.WriteString(inside)
			rest = after
		case strings.HasPrefix(rest, `\'`):
			out.WriteByte('\'')
			rest = rest[2:]
		case strings.ContainsRune(special, rune(rest[0])):
			t.Fatalf("%s: %q is outside of quotation marks", word, rest[0])
		default:
			out.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	if word == "" {
		t.Fatal("nothing is no word")
	}
	return out.String()
}

// special are the characters that XCU 2.2 of POSIX.1-2024 wants quoted anywhere or in some
// places, but = and %, which none takes for more within the arguments of a command; and
// { } ! ^ of other shells.
const special = "|&;<>()$`\\\"' \t\n*?[]#~{}!^"

// unescape reads $'...' as POSIX.1-2024 says.
func unescape(t *testing.T, s string) string {
	var out bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case '\'', '\\':
			out.WriteByte(s[i])
		default:
			n, err := strconv.ParseUint(s[i:i+3], 8, 8)
			if err != nil {
				t.Fatalf("escape in %s: %v", s, err)
			}
			out.WriteByte(byte(n))
			i += 2
		}
	}
	return out.String()
}
