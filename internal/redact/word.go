// SPDX-License-Identifier: Apache-2.0

package redact

import "bytes"

// value adds a word, or a whole argument, that is the value of the option before it. An
// option in its place means that the one before it had none.
func (s *scan) value(from, to int) bool {
	p := s.pending
	s.pending = pending{}
	word := s.text[from:to]
	if !p.secret || bytes.HasPrefix(word, []byte("--")) || len(word) == 2 && word[0] == '-' {
		return false
	}
	s.part(from, to, p.after)
	return true
}

// part adds a value, or what is behind a separator in it: in user:password the password.
func (s *scan) part(from, to int, after byte) {
	if after != 0 {
		i := bytes.IndexByte(s.text[from:to], after)
		if i < 0 {
			return // the user alone: the password is asked for
		}
		from += i + 1
	}
	s.add(from, to)
}

// words takes an argument that is a shell's command apart; any other is one word.
func (s *scan) words(from, to, depth int) {
	if bytes.IndexAny(s.text[from:to], " \t\n") < 0 || depth > maxDepth {
		s.word(from, to)
		return
	}
	s.split(from, to, depth, true)
	s.pending = pending{} // of an option that ends the command
}

// split goes through words that blanks separate and, with quotes, those in quotes whole.
func (s *scan) split(from, to, depth int, quotes bool) {
	for at := from; at < to; {
		if isBreak(s.text[at]) {
			at++
			continue
		}
		end := s.wordEnd(at, to, quotes)
		begin, inner := s.unquoted(at, end)
		switch {
		case begin >= inner || s.value(begin, inner):
		case begin == at && bytes.IndexAny(s.text[at:end], " \t\n") >= 0 && !s.flag(at, end):
			s.split(at, end, depth, false) // its quote is an apostrophe, or in its middle
		default:
			s.words(begin, inner, depth+1)
		}
		at = end
	}
}

func isBreak(c byte) bool { return bytes.IndexByte([]byte(" \t\n;|&()`"), c) >= 0 }

// wordEnd is where a word ends that may have quotes in it.
func (s *scan) wordEnd(at, to int, quotes bool) int {
	quote := byte(0)
	for ; at < to; at++ {
		c := s.text[at]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case quotes && isQuote(c):
			quote = c
		case quotes && c == '\\':
			at++
		case isBreak(c):
			return at
		}
	}
	return to
}

// unquoted takes the quotes off a word that is all in quotes.
func (s *scan) unquoted(from, to int) (int, int) {
	if to-from >= 2 && isQuote(s.text[from]) {
		from++
		if s.text[to-1] == s.text[from-1] {
			to--
		}
	}
	return from, to
}

// word looks at one word for what it says of the next, or of its own end.
func (s *scan) word(from, to int) {
	word := s.text[from:to]
	if len(word) < 2 {
		return
	}
	if s.rules.defaults {
		if bytes.EqualFold(word, []byte("bearer")) {
			s.pending.secret = true
			return
		}
		if s.flag(from, to) {
			return
		}
		if c := commandOf(word); c != nil {
			s.command, s.within = c, c.sub == ""
			return
		}
		if s.command != nil && s.command.sub == string(word) {
			s.within = true
			return
		}
	}
	bare := s.command != nil && s.command.bare && s.within
	if (word[0] == '-' || bare) && s.rules.secretName(bytes.TrimLeft(word, "-")) {
		s.pending = pending{secret: true}
	}
}

// flag handles an option that means a secret to the program that the words are for.
func (s *scan) flag(from, to int) bool {
	if s.command == nil || !s.within {
		return false
	}
	word := s.text[from:to]
	f, value, ok := s.command.find(word)
	switch {
	case !ok:
		return false
	case value == len(word):
		s.pending = pending{secret: true, after: f.after}
	default:
		s.part(from+value, to, f.after)
	}
	return true
}
