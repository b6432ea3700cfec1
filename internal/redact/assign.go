// SPDX-License-Identifier: Apache-2.0

package redact

import "bytes"

// assignments adds the values of name=value and name: value within an argument, also in
// JSON, headers, query strings and connection strings.
func (s *scan) assignments(from, to int) {
	for i := from; i < to; i++ {
		separator := s.text[i]
		if separator != '=' && separator != ':' {
			continue
		}
		n := s.nameBefore(from, i)
		if separator == ':' && n.from > from && s.text[n.from-1] == '/' {
			continue // a path: /run/secrets:/run/secrets
		}
		if !s.rules.secretName(s.text[n.from:n.to]) {
			continue
		}
		if begin, end := s.valueOf(n, from, i, to); begin < end {
			s.add(begin, end)
			i = end - 1
		}
	}
}

// name is where one is, and the quotes around it.
type name struct {
	from, to int
	// closed: a quote ends the name, as in JSON. Else before is the quote in front of it,
	// which also ends the value, as in 'Authorization: Basic x'.
	closed bool
	before byte
}

// nameBefore finds the name whose separator is at i.
func (s *scan) nameBefore(from, i int) (n name) {
	n.to = i
	for n.to > from && s.text[n.to-1] == ' ' {
		n.to--
	}
	if n.to > from && isQuote(s.text[n.to-1]) {
		n.closed = true
		n.to--
		if n.to > from && s.text[n.to-1] == '\\' {
			n.to--
		}
	}
	n.from = n.to
	for n.from > from && n.to-n.from <= maxName && isNameByte(s.text[n.from-1]) {
		n.from--
	}
	if n.from > from && isQuote(s.text[n.from-1]) {
		n.before = s.text[n.from-1]
	}
	return n
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// valueOf finds the value behind a separator at i. What an argument is all about ends
// with it; elsewhere a value ends at its quote or, without one, at what separates values.
func (s *scan) valueOf(n name, from, i, to int) (begin, end int) {
	begin = i + 1
	for begin < to && s.text[begin] == ' ' {
		begin++
	}
	rest := s.text[begin:to]
	switch {
	case n.from == from && !n.closed:
		// All of it, blanks too: in sh -c 'PASSWORD=x program' the program goes with it,
		// because it cannot be told from a password of two words.
		return begin, to
	case len(rest) > 0 && isQuote(rest[0]):
		return begin + 1, begin + 1 + quoted(rest[1:], rest[:1])
	case len(rest) > 1 && rest[0] == '\\' && isQuote(rest[1]):
		return begin + 2, begin + 2 + quoted(rest[2:], rest[:2])
	case n.before != 0 && !n.closed:
		return begin, begin + until(rest, string([]byte{n.before}))
	case s.text[i] == ':' && !n.closed:
		return begin, begin + until(rest, "\n\r\"'")
	}
	return begin, begin + until(rest, " \t\n\r\"'&;,}|<>`)")
}

// quoted is the length of what a quote ends.
func quoted(text, quote []byte) int {
	for at := 0; at < len(text); at++ {
		if bytes.HasPrefix(text[at:], quote) {
			return at
		}
		if text[at] == '\\' {
			at++
		}
	}
	return len(text)
}

// until is the length of what is before any of some bytes.
func until(text []byte, ends string) int {
	if i := bytes.IndexAny(text, ends); i >= 0 {
		return i
	}
	return len(text)
}
