// SPDX-License-Identifier: Apache-2.0

package event

import "unicode/utf8"

// appendString appends s as a JSON string in which no process, file or peer
// can hide anything: besides what JSON demands, these are written as \u
// escapes: DEL and the C1 controls (a terminal obeys them), < > & (markup),
// line and paragraph separators (script), and the bidirectional controls
// (text that reads differently than it is). Invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is still to be copied as it is
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if !plainASCII[c] {
				dst = appendASCIIEscape(append(dst, s[start:i]...), c)
				start = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
			start = i + 1
		} else if deceptive(r) {
			dst = appendRuneEscape(append(dst, s[start:i]...), r)
			start = i + size
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

// plainASCII are the characters that are copied as they are.
var plainASCII = func() (plain [utf8.RuneSelf]bool) {
	for c := range plain {
		switch {
		case c < 0x20, c == 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
		default:
			plain[c] = true
		}
	}
	return plain
}()

func appendASCIIEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return appendRuneEscape(dst, rune(c))
}

// appendRuneEscape is for characters of the basic multilingual plane.
func appendRuneEscape(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', lowerHex[r>>12&15], lowerHex[r>>8&15], lowerHex[r>>4&15], lowerHex[r&15])
}

// deceptive says whether a character beyond ASCII acts on the reader's
// terminal, page or eyes. The list of bidirectional controls is that of
// Unicode's UAX #9.
func deceptive(r rune) bool {
	switch {
	case r >= 0x80 && r <= 0x9f, // C1
		r == 0x61c, r == 0x200e, r == 0x200f, // marks of direction
		r >= 0x202a && r <= 0x202e, // embeddings and overrides
		r >= 0x2066 && r <= 0x2069, // isolates
		r == 0x2028, r == 0x2029,   // separators
		r == 0xfeff, r == 0x200b: // nothing to see
		return true
	}
	return false
}
