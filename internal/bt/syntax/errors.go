// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skep-io/skep/internal/compile"
)

// Error is one place in a script that could not be read.
type Error struct {
	Pos    compile.Pos
	Length int // of what is wrong, in bytes, at least 1
	// Text says what was found and what was expected instead.
	Text string
	// Hint is what was probably meant, or "".
	Hint string
}

// Error is the whole in one line, with line and column in front.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d:%d: %s", e.Pos.Line, e.Pos.Column, e.Text)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Render shows an error with the line it is in and a mark under it.
func (e *Error) Render(file, text string) string {
	return Render(file, text, e.Pos, e.Length, e.Text, e.Hint)
}

// Errors are those of one script, in the order of the text.
type Errors []*Error

// Err is nil if there is no error, else all of them as one.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return fmt.Errorf("read script: %s", strings.Join(lines, "\n"))
}

// excerptWidth is how many bytes of a line are shown at most.
const excerptWidth = 120

// Render shows a message about a place in a text: file, line and column in front, then
// the line and a mark of length bytes under it, then the hint. Nothing of the text can
// reach the terminal but what can be printed.
func Render(file, text string, pos compile.Pos, length int, message, hint string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s\n", file, pos.Line, pos.Column, message)
	if line, ok := lineOf(text, pos.Line); ok && pos.Column > 0 {
		start := min(pos.Column-1, len(line))
		end := min(start+max(length, 1), len(line))
		from := 0
		if start > excerptWidth*2/3 {
			from = start - excerptWidth/3
		}
		to := min(len(line), from+excerptWidth)
		end = min(end, to)
		before, marked, after := printable(line[from:start]), printable(line[start:end]), printable(line[end:to])
		fmt.Fprintf(&b, "    %s%s%s\n", before, marked, after)
		blank := strings.Repeat(" ", len([]rune(before)))
		fmt.Fprintf(&b, "    %s%s\n", blank, strings.Repeat("^", max(len([]rune(marked)), 1)))
	}
	if hint != "" {
		fmt.Fprintf(&b, "    %s\n", hint)
	}
	return b.String()
}

// lineOf is a line of a text by its number.
func lineOf(text string, number int) (string, bool) {
	for ; number > 1; number-- {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			return "", false
		}
		text = text[i+1:]
	}
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return text, number == 1
}

// printable replaces what moves the cursor, so that marks stand where they should.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !strconv.IsPrint(r):
			return '?'
		}
		return r
	}, text)
}

// quote puts a word of the script into a message, shortened and without control
// characters.
func quote(text string) string {
	const most = 40
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strconv.Quote(text)
}
