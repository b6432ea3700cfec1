// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"slices"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/spelling"
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
		if d := spelling.Distance(written, cmp.Or(t.Event, t.Function), limit); d <= limit {
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
