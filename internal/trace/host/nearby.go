// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"slices"

	"github.com/skep-io/skep/internal/bt"
)

const (
	mostNearby = 5
	// scanned bounds how many names are compared with what was written.
	scanned = 1 << 18
)

// Nearby implements [bt.Host]: names that differ in few letters from what was written, those
// with the fewest first.
func (h *Host) Nearby(kind bt.ProbeKind, pattern bt.Target) []string {
	wide := pattern
	written := pattern.Event
	if written != "" {
		wide.Category, wide.Event, wide.Provider = "*", "*", "*"
	} else {
		written, wide.Function, wide.Offset = pattern.Function, "*", 0
	}
	all, err := h.Targets(kind, wide)
	if err != nil || written == "" {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	limit := 1 + len(written)/4
	for _, t := range all[:min(len(all), scanned)] {
		if d := distance(written, cmp.Or(t.Event, t.Function), limit); d <= limit {
			near = append(near, candidate{t.Name, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, c := range near[:min(len(near), mostNearby)] {
		names = append(names, c.name)
	}
	return names
}

// distance is how many letters must be changed, added or taken away to make b of a, or
// more than limit (Levenshtein; one row).
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		best := row[0]
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
			best = min(best, row[j+1])
		}
		if best > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
