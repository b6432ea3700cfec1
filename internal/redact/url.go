// SPDX-License-Identifier: Apache-2.0

package redact

import "bytes"

// urls adds the passwords of scheme://user:password@host, and tokens in a user's place; and
// those of //user:password@host, as shares of files are named.
func (s *scan) urls(from, to int) {
	for at := from; ; {
		i := bytes.Index(s.text[at:to], []byte("//"))
		if i < 0 {
			return
		}
		begin := at + i
		at = begin + len("//")
		scheme := ""
		if begin > from {
			if c := s.text[begin-1]; c == ':' {
				scheme = s.scheme(from, begin-1)
			} else if !isBreak(c) && !isQuote(c) {
				continue // a path with one slash too many
			}
		}
		end := at + until(s.text[at:to], " \t\n\r\"'\\`<>")
		s.userinfo(scheme, at, end)
		at = end
	}
}

func (s *scan) scheme(from, to int) string {
	begin := to
	for begin > from && to-begin < 16 && (isNameByte(s.text[begin-1]) || s.text[begin-1] == '+') {
		begin--
	}
	return string(bytes.ToLower(s.text[begin:to]))
}

// userinfo looks at a URL from its authority on (RFC 3986, section 3.2.1).
func (s *scan) userinfo(scheme string, from, to int) {
	authority := s.text[from : from+until(s.text[from:to], "/?#")]
	at := bytes.LastIndexByte(authority, '@')
	colon := bytes.IndexByte(authority, ':')
	switch {
	case at >= 0 && colon >= 0 && colon < at:
		s.add(from+colon+1, from+at)
	case at > 0 && (scheme == "http" || scheme == "https"):
		s.add(from, from+at)
	case at < 0 && colon > 0 && authority[0] != '[' && !isPort(authority[colon+1:]):
		// A password with a slash that should have been %2F: it ends at the last @.
		if i := bytes.LastIndexByte(s.text[from:to], '@'); i > colon {
			s.add(from+colon+1, from+i)
		}
	}
}

func isPort(text []byte) bool {
	return !bytes.ContainsFunc(text, func(c rune) bool { return c < '0' || c > '9' })
}
