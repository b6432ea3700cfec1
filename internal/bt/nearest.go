// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"maps"
	"slices"
)

// nearest is a hint that names what may have been meant, or "". The distance is that of
// Levenshtein; a third of the word's letters may differ.
func nearest(word string, known []string) string {
	best, distance := "", len(word)/3+1
	slices.Sort(known)
	for _, k := range known {
		if d := editDistance(word, k); d < distance && k != word {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
