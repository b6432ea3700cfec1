// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// Options choose the rules.
type Options struct {
	// Defaults turns the built-in rules on.
	Defaults bool
	// Names are further words that make the value of an option or variable a secret.
	Names []string
	// Args are regular expressions (RE2), matched against each argument. What their groups
	// match is replaced or, without groups, all that they match.
	Args []string
}

// Rules are compiled Options. Their methods may be called from any goroutine.
type Rules struct {
	defaults bool
	names    map[string]bool
	patterns []*regexp.Regexp
	trigger  *trigger // nil: some rule has no word that is long enough, so all are always tried
}

// Compile checks the options and makes them ready. Its errors are for the user who wrote
// the patterns.
func Compile(o Options) (*Rules, error) {
	r := &Rules{defaults: o.Defaults, names: map[string]bool{}}
	var words []string
	if o.Defaults {
		words = defaultTriggers()
	}
	for _, name := range o.Names {
		name = normal(name)
		if name == "" {
			return nil, fmt.Errorf("names: an empty name")
		}
		r.names[name] = true
		words = append(words, longestPart(name))
	}
	for i, pattern := range o.Args {
		compiled, literals, err := compilePattern(pattern)
		if err != nil {
			return nil, fmt.Errorf("args: item %d %w", i+1, err)
		}
		r.patterns = append(r.patterns, compiled)
		if literals == nil {
			literals = []string{""}
		}
		words = append(words, literals...)
	}
	if !slices.ContainsFunc(words, func(word string) bool { return len(word) < gram }) {
		r.trigger = newTrigger(words)
	}
	return r, nil
}

// compilePattern also returns words of which one must be in whatever matches; none if the
// pattern has no such words.
func compilePattern(pattern string) (*regexp.Regexp, []string, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, nil, fmt.Errorf("is not a regular expression (RE2 syntax): %s", fault(err))
	}
	if compiled.MatchString("") {
		return nil, nil, errors.New("matches the empty text, so it says nothing about what is secret")
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, nil, fmt.Errorf("is not a regular expression (RE2 syntax): %s", fault(err))
	}
	return compiled, literals(tree.Simplify()), nil
}

// fault is what is wrong without the pattern itself, which may be the secret.
func fault(err error) string {
	var e *syntax.Error
	if errors.As(err, &e) {
		return e.Code.String()
	}
	return "it cannot be parsed"
}

// Args replaces the secrets in NUL-joined arguments. n is the number of arguments that had
// one; if it is 0, clean is args itself.
func (r *Rules) Args(args []byte) (clean []byte, n int) {
	if r.trigger != nil && !r.trigger.hit(args) {
		return args, 0
	}
	s := scan{rules: r, text: args}
	s.arguments()
	return s.replace()
}

// Text replaces the secrets in a text that is not a command line, such as a log: each of
// its lines is taken for an argument.
func (r *Rules) Text(text []byte) []byte {
	if r.trigger != nil && !r.trigger.hit(text) {
		return text
	}
	lines := bytes.Split(text, []byte{'\n'})
	for i, line := range lines {
		s := scan{rules: r, text: line}
		s.argument(0, len(line))
		lines[i], _ = s.replace()
	}
	return bytes.Join(lines, []byte{'\n'})
}

// Word replaces the secrets in a text that stands alone, such as a name that a process has
// given: it is taken for an argument behind another one.
func (r *Rules) Word(text string) string {
	if text == "" {
		return ""
	}
	clean, n := r.Args([]byte("\x00" + text))
	if n == 0 {
		return text
	}
	return string(clean[1:])
}

// normal is a name in lower case without its dashes in front, all separators the same.
func normal(name string) string {
	name = strings.ToLower(strings.TrimLeft(name, "-_."))
	return strings.NewReplacer("-", "_", ".", "_").Replace(name)
}

// longestPart is a word that a name holds however its parts are separated.
func longestPart(name string) string {
	longest := ""
	for part := range strings.SplitSeq(name, "_") {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}
