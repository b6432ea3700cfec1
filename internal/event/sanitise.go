// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strconv"
	"unicode/utf8"
)

// Printable makes a string from a process, a file or the network safe to show
// on a terminal: everything that Unicode does not call printable (control
// characters of both sets, bidirectional overrides, zero-width characters,
// line separators, private use) and every byte that is not UTF-8 is shown as
// an escape as in Go source, such as \x1b or \u202e. The ASCII space stays.
func Printable(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return string(appendPrintable(make([]byte, 0, len(s)+16), s))
		}
	}
	return s
}

func appendPrintable(dst []byte, s string) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, '\\', 'x', lowerHex[s[0]>>4], lowerHex[s[0]&15])
		case strconv.IsPrint(r):
			dst = append(dst, s[:size]...)
		default:
			quoted := strconv.AppendQuoteRuneToASCII(nil, r)
			dst = append(dst, quoted[1:len(quoted)-1]...)
		}
		s = s[size:]
	}
	return dst
}

const lowerHex = "0123456789abcdef"
