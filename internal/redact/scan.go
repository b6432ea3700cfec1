// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"cmp"
	"slices"
)

// span is a part of a text, in bytes, the end excluded.
type span struct{ from, to int }

// scan looks for the secrets of one command line.
type scan struct {
	rules *Rules
	text  []byte
	spans []span

	command *command // the program that the words are for, as far as it is known
	within  bool     // its subcommand has been met
	pending pending
}

// pending says that the next word is the value of an option.
type pending struct {
	secret bool
	after  byte // as in flag
}

// maxDepth is how many shells within shells are looked into: sh -c "su -c 'mysql -pX'".
const maxDepth = 4

// arguments looks at all of a command line.
func (s *scan) arguments() {
	for from := 0; from <= len(s.text); {
		to := from
		if i := bytes.IndexByte(s.text[from:], 0); i >= 0 {
			to += i
		} else {
			to = len(s.text)
		}
		s.argument(from, to)
		from = to + 1
	}
}

func (s *scan) argument(from, to int) {
	for _, pattern := range s.rules.patterns {
		s.matched(pattern.FindAllSubmatchIndex(s.text[from:to], -1), from)
	}
	if !s.rules.defaults && len(s.rules.names) == 0 {
		return
	}
	if s.value(from, to) {
		return
	}
	s.assignments(from, to)
	if s.rules.defaults {
		s.urls(from, to)
		s.shaped(from, to)
	}
	s.words(from, to, 0)
}

// matched adds what the groups of an expression took part in or, without groups, all.
func (s *scan) matched(matches [][]int, base int) {
	for _, m := range matches {
		if len(m) == 2 {
			s.add(base+m[0], base+m[1])
		}
		for i := 2; i < len(m); i += 2 {
			if m[i] >= 0 {
				s.add(base+m[i], base+m[i+1])
			}
		}
	}
}

func (s *scan) add(from, to int) {
	if from < to {
		s.spans = append(s.spans, span{from, to})
	}
}

// replace returns the text with Mark for each span, and how many arguments had one.
func (s *scan) replace() (clean []byte, n int) {
	if len(s.spans) == 0 {
		return s.text, 0
	}
	slices.SortFunc(s.spans, func(a, b span) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	clean = make([]byte, 0, len(s.text)+len(Mark)*len(s.spans))
	at := 0
	for _, sp := range s.spans {
		if sp.to <= at {
			continue
		}
		if sp.from >= at { // else it goes on where the last one ended
			between := s.text[at:sp.from]
			if n == 0 || bytes.IndexByte(between, 0) >= 0 {
				n++
			}
			clean = append(append(clean, between...), Mark...)
		}
		at = sp.to
	}
	return append(clean, s.text[at:]...), n
}
