// SPDX-License-Identifier: Apache-2.0

package compile

// rounds is how often simplification is repeated at most: each round may make room for
// more, and hardly any function needs a third.
const rounds = 4

// simplify makes a function smaller and faster without changing what it does.
func simplify(f *Func, shapes map[string]MapShape) {
	for range rounds {
		changed := removePhis(f)
		changed = number(f) || changed
		changed = shareLookups(f, shapes) || changed
		removeDead(f)
		changed = simplifyBranches(f) || changed
		if !changed {
			break
		}
	}
	removePhis(f)
	removeDead(f)
	sinkSlots(f)
	if removeDeadStores(f) {
		removeDead(f)
	}
	sink(f)
	removeDead(f)
}
