// SPDX-License-Identifier: Apache-2.0

package generate

import "slices"

// Shrink makes choices simpler for as long as what they lead to still fails, and at most
// so many attempts.
func Shrink(c Choices, attempts int, fails func(Choices) bool) Choices {
	try := func(candidate Choices) bool {
		if attempts == 0 || slices.Equal(candidate, c) {
			return false
		}
		attempts--
		if !fails(candidate) {
			return false
		}
		c = candidate
		return true
	}
	for again := true; again && attempts > 0; {
		again = false
		for size := max(len(c)/2, 1); size > 0; size /= 2 {
			for i := 0; i+size <= len(c); {
				if try(slices.Delete(slices.Clone(c), i, i+size)) {
					again = true
				} else {
					i += size
				}
			}
		}
		for i := range c {
			for _, smaller := range []uint32{0, 1, c[i] / 2, c[i] % 40} {
				candidate := slices.Clone(c)
				candidate[i] = smaller
				if smaller < c[i] && try(candidate) {
					again = true
					break
				}
			}
		}
	}
	return c
}
