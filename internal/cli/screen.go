// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// screen is what the standard output can show.
type screen struct {
	terminal bool
	colour   bool
	utf8     bool
}

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

func newScreen(out *os.File, getenv func(string) string) screen {
	terminal := isTerminal(out)
	return screen{
		terminal: terminal,
		colour:   terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb",
		utf8:     utf8Locale(getenv),
	}
}

// utf8Locale follows the precedence of setlocale(3). Without any of the
// variables the locale is "C"; pipes are read by programs, which want UTF-8.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// width is the number of columns of a terminal, asked each time because a
// window changes; 0 means no limit.
func (a *app) width() int {
	w, _ := a.size()
	return w
}

func (a *app) size() (columns, rows int) {
	if !a.screen.terminal {
		return 0, 0
	}
	ws, err := unix.IoctlGetWinsize(int(a.tty.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 {
		return 80, 24
	}
	return int(ws.Col), int(ws.Row)
}

// colour is the parameter of an SGR escape sequence (ECMA-48); "" is none.
type colour string

const (
	plain   colour = ""
	bold    colour = "1"
	dim     colour = "2"
	red     colour = "31"
	green   colour = "32"
	yellow  colour = "33"
	blue    colour = "34"
	magenta colour = "35"
	cyan    colour = "36"
	loud    colour = "1;31"
)

func (s screen) append(dst []byte, c colour, text string) []byte {
	if !s.colour || c == plain {
		return append(dst, text...)
	}
	dst = append(dst, "\x1b["...)
	dst = append(dst, c...)
	dst = append(dst, 'm')
	dst = append(dst, text...)
	return append(dst, "\x1b[0m"...)
}

func (s screen) paint(c colour, text string) string {
	if !s.colour || c == plain {
		return text
	}
	return string(s.append(nil, c, text))
}

// glyph is the first of two where the locale can show it.
func (s screen) glyph(utf8, ascii string) string {
	if s.utf8 {
		return utf8
	}
	return ascii
}
