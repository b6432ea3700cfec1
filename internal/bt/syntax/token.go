// SPDX-License-Identifier: Apache-2.0

package syntax

// kind is what a token is.
type kind uint8

const (
	tokEnd kind = iota
	tokBad      // text that is no token; msg says why
	tokWord
	tokInteger
	tokString
	tokVariable   // $x
	tokPositional // $1, $#
	tokMap        // @x, @
	tokPunct      // text is the operator
	tokDirective  // # at the start of a line
)

// token is a piece of the text.
type token struct {
	kind       kind
	text       string // as written
	value      string // of a string, without quotes and escapes
	start, end int    // offsets in bytes
	msg        string // of tokBad
	from, to   int    // what of tokBad is wrong
}

// is tells whether a token is that operator or word.
func (t token) is(text string) bool {
	return (t.kind == tokPunct || t.kind == tokWord) && t.text == text
}

// describe names a token in a message.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "the end of the script"
	case tokString:
		return "a string"
	case tokDirective:
		return "a # directive"
	}
	return quote(t.text)
}

// operators by length, the longest first, so that the first that fits is the token.
var operators = [...]string{
	"<<=", ">>=",
	"==", "!=", "<=", ">=", "<<", ">>", "&&", "||", "++", "--", "->", "..",
	"+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
	"{", "}", "[", "]", "(", ")", ";", ":", ",", "?", "=", "<", ">",
	"+", "-", "*", "/", "%", "&", "|", "^", "!", "~", ".",
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isWordByte(c byte) bool {
	return isLetter(c) || isDigit(c)
}
func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}
