// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"sort"
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/compile"
)

// scanner cuts text into tokens. It has no state but the text: the parser says where to
// go on, because attach points and definitions are read otherwise.
type scanner struct {
	text  string
	lines []int // offset of each line
}

func newScanner(text string) *scanner {
	s := &scanner{text: text, lines: []int{0}}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// position is the line and column of an offset.
func (s *scanner) position(offset int) compile.Pos {
	line := sort.SearchInts(s.lines, offset+1) // lines that begin at or before offset
	return compile.Pos{Line: line, Column: offset - s.lines[line-1] + 1}
}

// at is the byte at an offset, 0 behind the end.
func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// skip passes blanks and comments, and tells whether a comment was open at the end.
func (s *scanner) skip(i int) (next int, open bool) {
	for i < len(s.text) {
		switch {
		case isBlank(s.text[i]):
			i++
		case strings.HasPrefix(s.text[i:], "//"):
			i = s.lineEnd(i)
		case strings.HasPrefix(s.text[i:], "/*"):
			end := strings.Index(s.text[i+2:], "*/")
			if end < 0 {
				return i, true
			}
			i += 2 + end + 2
		default:
			return i, false
		}
	}
	return i, false
}

func (s *scanner) lineEnd(i int) int {
	if n := strings.IndexByte(s.text[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s.text)
}

// next is the token at or behind an offset.
func (s *scanner) next(i int) token {
	i, open := s.skip(i)
	if open {
		t := s.bad(i, i+2, "a comment that does not end")
		t.end = len(s.text)
		return t
	}
	if i >= len(s.text) {
		return token{kind: tokEnd, start: len(s.text), end: len(s.text)}
	}
	c := s.text[i]
	switch {
	case isLetter(c):
		return s.cut(tokWord, i, s.wordEnd(i))
	case isDigit(c):
		return s.cut(tokInteger, i, s.numberEnd(i))
	case c == '"':
		return s.scanString(i)
	case c == '\'':
		return s.scanChar(i)
	case c == '$':
		return s.scanDollar(i)
	case c == '@':
		return s.cut(tokMap, i, s.wordEnd(i+1))
	case c == '#':
		return s.cut(tokDirective, i, s.directiveEnd(i))
	}
	return s.scanOperator(i)
}

func (s *scanner) cut(k kind, start, end int) token {
	return token{kind: k, text: s.text[start:end], start: start, end: end}
}

func (s *scanner) bad(start, end int, msg string) token {
	t := s.cut(tokBad, start, min(end, len(s.text)))
	t.msg, t.from, t.to = msg, t.start, t.end
	return t
}

func (s *scanner) wordEnd(i int) int {
	for isWordByte(s.at(i)) {
		i++
	}
	return i
}

// numberEnd takes all that could belong to a number, so that 12abc is one bad number and
// not two tokens.
func (s *scanner) numberEnd(i int) int { return s.wordEnd(i) }

// directiveEnd is the end of the line, or of the one behind the last backslash.
func (s *scanner) directiveEnd(i int) int {
	end := s.lineEnd(i)
	for end < len(s.text) && strings.HasSuffix(strings.TrimRight(s.text[i:end], "\r"), "\\") {
		end = s.lineEnd(end + 1)
	}
	return end
}

func (s *scanner) scanDollar(i int) token {
	switch c := s.at(i + 1); {
	case c == '#':
		return s.cut(tokPositional, i, i+2)
	case isDigit(c):
		end := i + 1
		for isDigit(s.at(end)) {
			end++
		}
		return s.cut(tokPositional, i, end)
	case isLetter(c):
		return s.cut(tokVariable, i, s.wordEnd(i+1))
	}
	return s.bad(i, i+1, "a $ without a name")
}

func (s *scanner) scanOperator(i int) token {
	for _, op := range operators {
		if strings.HasPrefix(s.text[i:], op) {
			return s.cut(tokPunct, i, i+len(op))
		}
	}
	end := i + 1
	for end < len(s.text) && s.text[end]&0xc0 == 0x80 { // the rest of a UTF-8 sequence
		end++
	}
	return s.bad(i, end, "the character "+strconv.QuoteToASCII(s.text[i:end])+", which the language does not use")
}

// WordLength is how many bytes the token has that begins in a column of a line, counted from
// 1, or the attach point or the call that does: what to mark in a message about it. It is 0 where none does.
func WordLength(line string, column int) int {
	if column < 1 || column > len(line) {
		return 0
	}
	s := newScanner(line)
	t := s.next(column - 1)
	if t.start != column-1 || t.kind == tokEnd {
		return 0
	}
	end := t.end
	if t.kind == tokWord && s.at(end) == ':' {
		for end < len(line) && !isBlank(line[end]) && line[end] != '{' && line[end] != ',' {
			end++
		}
	} else if t.kind == tokWord {
		end = s.closed(end, "(", ")")
	} else if t.kind == tokMap {
		end = s.closed(end, "[", "]")
	}
	return end - t.start
}

// closed is behind the parenthesis that closes the one behind a word, or the word's end.
func (s *scanner) closed(end int, open, shut string) int {
	depth := 0
	for t := s.next(end); t.kind != tokEnd && (depth > 0 || t.is(open)); t = s.next(t.end) {
		if t.is(open) {
			depth++
		} else if t.is(shut) {
			if depth--; depth == 0 {
				return t.end
			}
		}
	}
	return end
}
