// SPDX-License-Identifier: Apache-2.0

// Package version says which skep this is.
package version

// number is the released version, or the one that is being worked on.
const number = "0.1.0-dev"

// commit is set by the linker: -X github.com/skep-io/skep/internal/version.commit=...
var commit string

// String is the version, with the commit where the build knows it.
func String() string {
	if commit == "" {
		return number
	}
	return number + "+" + commit
}
