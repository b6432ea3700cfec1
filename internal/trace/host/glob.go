// SPDX-License-Identifier: Apache-2.0

package host

import (
	"regexp"
	"strings"
)

// wild tells whether a text of a pattern matches more than itself; one that was not written does.
func wild(text string) bool { return text == "" || strings.ContainsAny(text, "*?[") }

// glob matches names: * is any text, ? a character, [abc] one of these. Unlike in a shell,
// a slash is a character like any other: names of C++ functions have it.
type glob struct {
	text       string
	expression *regexp.Regexp // nil: text itself
}

func newGlob(text string) glob {
	if text == "" {
		text = "*"
	}
	if !wild(text) {
		return glob{text: text}
	}
	var b strings.Builder
	b.WriteString("^(?s:")
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := strings.IndexByte(text[i:], ']')
			if end < 2 {
				b.WriteString(`\[`)
				continue
			}
			b.WriteString("[" + strings.NewReplacer(`\`, `\\`, "[", `\[`).Replace(text[i+1:i+end]) + "]")
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(")$")
	expression, err := regexp.Compile(b.String())
	if err != nil { // [z-a]
		return glob{text: text}
	}
	return glob{text, expression}
}

func (g glob) match(name string) bool {
	if g.expression == nil {
		return name == g.text
	}
	return g.expression.MatchString(name)
}
