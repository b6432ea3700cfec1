// SPDX-License-Identifier: Apache-2.0

package event

// Nearest returns the candidate that name is most likely a misspelling of, or
// "" if none is close: at most one edit in three characters, and never more
// than three. An edit is an insertion, deletion, substitution or the swap of
// two neighbours (optimal string alignment distance).
func Nearest(name string, candidates []string) string {
	best, limit := "", min(3, max(1, len(name)/3))+1
	if len(name) > 64 {
		return ""
	}
	for _, c := range candidates {
		if d := editDistance(name, c); d < limit {
			best, limit = c, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
