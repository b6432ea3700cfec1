// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"maps"
	"slices"

	"github.com/skep-io/skep/internal/spelling"
)

// nearest is a hint that names what may have been meant, or "".
func nearest(word string, known []string) string {
	slices.Sort(known)
	if best := spelling.Nearest(word, known); best != "" {
		return "did you mean " + best + "?"
	}
	return ""
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
