// SPDX-License-Identifier: Apache-2.0

// Package spelling finds what was probably meant by a name that is not known. It is a leaf:
// whoever reads what a user has written may ask it.
package spelling

import "strings"

// longest is how many bytes of a name are compared: the work is quadratic.
const longest = 64

// Nearest is the candidate that a word is most likely a misspelling of, whatever the case of
// its letters: at most one edit in three bytes, and never more than three; "" if none is near.
func Nearest(word string, candidates []string) string {
	if len(word) > longest {
		return ""
	}
	lower := strings.ToLower(word)
	best, most := "", min(3, max(1, len(word)/3))
	for _, c := range candidates {
		if c == word {
			continue
		}
		if d := Distance(lower, strings.ToLower(c), most); d <= most {
			best, most = c, d-1
		}
	}
	return best
}

// Distance is how many edits make b of a, or more than most if it takes more than that. An
// edit is a byte that is added, taken away or changed, or two neighbours that change places
// (optimal string alignment distance: https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance).
func Distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > most+1 { // an exchange may still take one less than the row before
			return most + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
