// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"testing"
)

func TestString(t *testing.T) {
	defer func(n, c string) { number, commit = n, c }(number, commit)
	number, commit = "1.2.3", "abc"
	if got := String(); got != "1.2.3+abc" {
		t.Errorf("got %q, want 1.2.3+abc", got)
	}
}

func TestStamped(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123"}
	for _, tt := range []struct {
		want     string
		settings []debug.BuildSetting
	}{
		{"", nil},
		{"", []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}},
		{"0123456789ab", []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}},
		{"0123456789ab.dirty", []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}},
		{"01", []debug.BuildSetting{{Key: "vcs.revision", Value: "01"}}},
	} {
		if got := stamped(tt.settings); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.settings, got, tt.want)
		}
	}
}
