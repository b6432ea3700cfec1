// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"regexp/syntax"
	"slices"
)

// maxLiterals bounds what one pattern may add to the trigger.
const maxLiterals = 64

// literals returns texts of which one, in whatever case, must occur in every match of an
// expression; nil if no such texts are known.
func literals(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return word(string(re.Rune), re.Flags&syntax.FoldCase != 0)
	case syntax.OpCapture, syntax.OpPlus:
		return literals(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literals(re.Sub[0])
		}
	case syntax.OpConcat:
		return best(re.Sub)
	case syntax.OpAlternate:
		return union(re.Sub)
	}
	return nil
}

// word keeps the longest run of bytes that the trigger compares as the expression does.
func word(text string, anyCase bool) []string {
	longest, run := "", ""
	for i := range len(text) {
		// To (?i) k and the Kelvin sign are one letter, and s and the long s.
		if c := text[i]; c >= 0x80 || anyCase && (c|0x20 == 'k' || c|0x20 == 's') {
			run = ""
			continue
		}
		if run += text[i : i+1]; len(run) > len(longest) {
			longest = run
		}
	}
	if longest == "" {
		return nil
	}
	return []string{longest}
}

// best is the part of a sequence whose shortest text is longest: it is met least often.
func best(parts []*syntax.Regexp) (found []string) {
	for _, part := range parts {
		if l := literals(part); l != nil && (found == nil || shortest(l) > shortest(found)) {
			found = l
		}
	}
	return found
}

func union(branches []*syntax.Regexp) (all []string) {
	for _, branch := range branches {
		l := literals(branch)
		if l == nil || len(all)+len(l) > maxLiterals {
			return nil
		}
		all = append(all, l...)
	}
	return all
}

func shortest(texts []string) int {
	return len(slices.MinFunc(texts, func(a, b string) int { return len(a) - len(b) }))
}
