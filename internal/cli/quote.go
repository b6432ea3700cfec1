// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"unicode/utf8"
)

// appendCommand writes arguments as a POSIX shell would read them back. What
// is not printable (strconv.IsPrint: no control characters, no bidirectional
// overrides, no zero-width characters) is written as $'...' escapes, which
// bash, zsh, ksh and POSIX.1-2024 shells know.
func appendCommand(dst []byte, args []string) []byte {
	for i, arg := range args {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendQuoted(dst, arg)
	}
	return dst
}

func commandLine(args []string) string { return string(appendCommand(nil, args)) }

func appendQuoted(dst []byte, arg string) []byte {
	switch class := classify(arg); {
	case arg == "":
		return append(dst, "''"...)
	case class == bare:
		return append(dst, arg...)
	case class == printable:
		return appendSingleQuoted(dst, arg)
	}
	return appendEscaped(dst, arg)
}

type quoting int

const (
	bare quoting = iota
	printable
	unprintable
)

func classify(arg string) quoting {
	class := bare
	for i := 0; i < len(arg); i++ {
		switch c := arg[i]; {
		case safe[c]:
		case c >= utf8.RuneSelf:
			return classifyUnicode(arg[i:], class)
		case c < ' ' || c == 0x7f:
			return unprintable
		default:
			class = printable
		}
	}
	return class
}

func classifyUnicode(arg string, class quoting) quoting {
	for len(arg) > 0 {
		r, n := utf8.DecodeRuneInString(arg)
		if r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			return unprintable
		}
		if r < utf8.RuneSelf && !safe[r] {
			class = printable
		}
		arg = arg[n:]
	}
	return class
}

// safe has the bytes that no shell treats specially anywhere in a word.
var safe = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") {
		t[c] = true
	}
	return t
}()

func appendSingleQuoted(dst []byte, arg string) []byte {
	dst = append(dst, '\'')
	for i := range len(arg) {
		if arg[i] == '\'' {
			dst = append(dst, `'\''`...)
			continue
		}
		dst = append(dst, arg[i])
	}
	return append(dst, '\'')
}

func appendEscaped(dst []byte, arg string) []byte {
	dst = append(dst, "$'"...)
	for len(arg) > 0 {
		r, n := utf8.DecodeRuneInString(arg)
		switch {
		case r == '\'' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r != utf8.RuneError && strconv.IsPrint(r):
			dst = append(dst, arg[:n]...)
		case r == utf8.RuneError && n > 1:
			dst = append(dst, arg[:n]...) // U+FFFD itself, which the agent writes for bytes that are not UTF-8
		default:
			dst = appendOctal(dst, arg[:n])
		}
		arg = arg[n:]
	}
	return append(dst, '\'')
}

// appendOctal writes bytes as \ooo: three digits always, so that a digit that
// follows cannot be taken for a part of the escape, as it could after \x.
func appendOctal(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, '\\', '0'+s[i]>>6, '0'+s[i]>>3&7, '0'+s[i]&7)
	}
	return dst
}
