// SPDX-License-Identifier: Apache-2.0

// Package version says which skep this is.
package version

import "runtime/debug"

// number is the released version, or the one that is being worked on; commit
// is the source it was built from. The build sets both: -X
// github.com/skep-io/skep/internal/version.commit=...
var (
	number = "0.1.0-dev"
	commit string
)

// String is the version, with the commit where the build knows it.
func String() string {
	c := commit
	if info, ok := debug.ReadBuildInfo(); ok && c == "" {
		c = stamped(info.Settings)
	}
	if c == "" {
		return number
	}
	return number + "+" + c
}

// stamped is the commit that the go command found, for a plain "go build".
func stamped(settings []debug.BuildSetting) string {
	values := map[string]string{}
	for _, s := range settings {
		values[s.Key] = s.Value
	}
	c := values["vcs.revision"]
	if len(c) > 12 {
		c = c[:12]
	}
	if c != "" && values["vcs.modified"] == "true" {
		c += ".dirty"
	}
	return c
}
