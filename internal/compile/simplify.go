// SPDX-License-Identifier: Apache-2.0

package compile

// simplify makes a function smaller and faster without changing what it does.
func simplify(f *Func, o Options) {
	if o.CPU < 4 {
		expandDivision(f)
	}
}
